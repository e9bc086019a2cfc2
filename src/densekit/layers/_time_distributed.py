"""`TimeDistributed`: one layer at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Unpack

from densekit import ops
from densekit._core.errors import message
from densekit._core.registry import export
from densekit._core.types import Config, PartialShape, TensorLike
from densekit.layers._base.layer import Layer
from densekit.layers._dense import Dense
from densekit.layers._wrapper import Wrapper
from densekit.ops import KerasTensor

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class TimeDistributed(Wrapper):
    """Applies a layer to every step, ``inputs[:, t]``, with the same weights.

    Shapes:
        inputs: ``(batch, steps, ...)``, of rank 3 at least; outputs: ``(batch, steps, ...)``.

    Args:
        layer: the layer.

    Raises:
        ValueError: if it is no layer; when called, for inputs of lower rank or a `mask` that does
            not begin with ``(batch, steps)``.

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.TimeDistributed(keras.layers.Dense(4))
    >>> layer(keras.ops.ones((2, 5, 3))).shape
    (2, 5, 4)
    """

    def __init__(self, layer: Layer, **kwargs: Unpack[AllLayerOptions]) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def _dk_step_shape(self, shape: object) -> PartialShape:
        if not isinstance(shape, tuple | list) or len(shape) < 3:
            raise ValueError(
                message(
                    f"TimeDistributed {self.name!r}",
                    "inputs (batch, steps, ...) of rank >= 3",
                    f"shape {shape}",
                    "Reshape the inputs.",
                )
            )
        return (shape[0], *shape[2:])

    def build(self, input_shape: object = None) -> None:
        """Build the layer inside for one step."""
        super().build(self._dk_step_shape(input_shape))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> PartialShape:
        """That of the layer inside, with the steps behind the batch."""
        inner = self.layer.compute_output_shape(self._dk_step_shape(input_shape))
        return (inner[0], input_shape[1], *inner[1:])

    def call(
        self, inputs: TensorLike, training: bool | None = None, mask: TensorLike | None = None
    ) -> TensorLike:
        """The outputs of all steps."""
        if mask is not None and tuple(mask.shape[:2]) != tuple(inputs.shape[:2]):
            raise ValueError(
                message(
                    f"TimeDistributed {self.name!r}",
                    f"a mask that begins with {tuple(inputs.shape[:2])}",
                    f"shape {tuple(mask.shape)}",
                    "Give it an entry for each step.",
                )
            )
        known = self.layer._dk_call_info.names
        followed = isinstance(inputs, KerasTensor)  # its native form takes the layer as a whole
        if followed and self._dk_takes_all_steps():
            outputs: TensorLike = self.layer(inputs)
            return outputs
        whole = followed and ("mask" not in known or mask is None or self.layer.supports_masking)
        whole = whole and self.layer.activity_regularizer is None  # of steps it counts for nothing
        step: Callable[..., TensorLike] = self.layer if whole else self.layer.call
        steps: list[TensorLike] = []
        for t in range(inputs.shape[1]):
            given: Config = {"training": training} if "training" in known else {}
            if mask is not None and "mask" in known:
                given["mask"] = mask[:, t]
            steps.append(step(inputs[:, t], **given))
        return ops.stack(steps, axis=1)

    def _dk_takes_all_steps(self) -> bool:
        """Whether the layer inside does the same to each step, called once."""
        layer = self.layer
        return type(layer) is Dense and not layer.flatten and layer.activity_regularizer is None
