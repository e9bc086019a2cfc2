"""`Softmax`: numbers to probabilities, as a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from densekit import activations, ops
from densekit._core.errors import message
from densekit._core.native_form import NativeForm
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, TensorLike
from densekit.layers._base.elementwise import Elementwise

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class Softmax(Elementwise):
    """Probabilities along an axis: ``exp(x) / sum(exp(x))``; masked entries get 0.

    Args:
        axis: an axis, or several that sum to 1 together. Default: ``-1``.

    Raises:
        ValueError: when called with a mask that does not broadcast to the inputs.

    Example:

    >>> import densekit as keras
    >>> keras.layers.Softmax()(keras.ops.zeros((1, 4))).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """

    def __init__(self, axis: int | tuple[int, ...] = -1, **kwargs: Unpack[AllLayerOptions]) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self._build_at_init()

    def call(self, inputs: TensorLike, mask: TensorLike | None = None) -> TensorLike:
        """Probabilities; `mask` is true where an entry counts."""
        if mask is not None:
            mask = self._dk_as_bool(mask, inputs.shape)
            inputs = ops.where(mask, inputs, -3e4 if str(inputs.dtype) == "float16" else -1e9)
        axis = self.axis
        if isinstance(axis, list | tuple) and len(axis) == 1:
            axis = axis[0]
        if isinstance(axis, list | tuple):
            axis = tuple(axis)
            if "float" not in str(inputs.dtype):
                inputs = ops.cast(inputs, self.compute_dtype)
            outputs = ops.exp(inputs - ops.logsumexp(inputs, axis=axis, keepdims=True))
        else:
            outputs = activations.softmax(inputs, axis=axis)
        return outputs if mask is None else ops.where(mask, outputs, 0.0)

    def _dk_as_bool(self, mask: TensorLike, shape: tuple[int, ...]) -> TensorLike:
        sizes = zip(reversed(mask.shape), reversed(shape), strict=False)
        if len(mask.shape) > len(shape) or any(m not in (1, n) for m, n in sizes):
            raise ValueError(
                message(
                    f"Softmax {self.name!r}",
                    f"a mask that broadcasts to {tuple(shape)}",
                    f"shape {tuple(mask.shape)}",
                    "Give each axis of the mask the size 1 or that of the inputs.",
                )
            )
        return mask if str(mask.dtype) == "bool" else ops.greater(mask, 0.5)

    def native_form(self) -> NativeForm | None:
        """The native kernel, also where the layer is another layer's activation."""
        return NativeForm("softmax") if self.axis in (-1, [-1], (-1,)) else None

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """One step over the rows of the axes."""
        axes = list(self.axis) if isinstance(self.axis, list | tuple) else [self.axis]
        return plan.activation_along(x, axes, activations.softmax)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "axis": self.axis}
