"""`Reshape`: another shape for each sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from densekit import ops
from densekit._core.errors import describe, message
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, PartialShape, TensorLike
from densekit.layers._base.layer import Layer
from densekit.ops._keras_tensor import KerasTensor

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class Reshape(Layer):
    """Gives each sample another shape: ``(batch, ...) -> (batch, *target_shape)``.

    Args:
        target_shape: sizes without the batch axis; one may be -1, which takes what is left.

    Raises:
        ValueError: for two -1 or a negative size; when called, if the number of elements differs.

    Example:

    >>> import densekit as keras
    >>> keras.layers.Reshape((2, -1))(keras.ops.ones((5, 6))).shape
    (5, 2, 3)
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Unpack[AllLayerOptions]) -> None:
        super().__init__(**kwargs)
        target = tuple(target_shape)
        bad = any(not isinstance(n, int) or n < -1 for n in target)
        if bad or target.count(-1) > 1:
            raise ValueError(
                message(
                    "Reshape",
                    "`target_shape` of sizes >= 0 with at most one -1",
                    describe(target),
                    "Leave one size open at most.",
                )
            )
        self.target_shape = target
        self.built = True

    def _dk_resolved(self, sizes: tuple[int | None, ...]) -> PartialShape:
        target = self.target_shape
        if None in sizes:
            return tuple(None if n == -1 else n for n in target)
        total, known = math.prod(sizes), math.prod(n for n in target if n != -1)  # type: ignore[arg-type]
        fits = total == known if -1 not in target else known > 0 and total % known == 0
        if not fits:
            raise ValueError(
                message(
                    f"Reshape {self.name!r}",
                    f"as many elements as in target_shape={target}",
                    f"samples of shape {sizes}",
                    "The total size of the tensor must be unchanged.",
                )
            )
        return tuple(total // known if n == -1 else n for n in target)

    def call(self, inputs: TensorLike) -> TensorLike:
        """The same elements in the new shape."""
        shape = self._dk_resolved(tuple(inputs.shape[1:]))
        return ops.reshape(inputs, (inputs.shape[0], *shape))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> PartialShape:
        """``(batch, *target_shape)``."""
        return (input_shape[0], *self._dk_resolved(tuple(input_shape[1:])))

    def compute_output_spec(self, inputs: TensorLike) -> KerasTensor:
        """The new shape, of the inputs' dtype."""
        return KerasTensor(self.compute_output_shape(inputs.shape), dtype=inputs.dtype)

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """Free."""
        return plan.reshape(x, self._dk_resolved(x.sample_shape))  # type: ignore[arg-type]

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "target_shape": self.target_shape}
