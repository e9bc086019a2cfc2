"""`Permute`: axes in another order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from densekit import ops
from densekit._core.errors import describe, message
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, PartialShape, TensorLike
from densekit.layers._base.input_spec import InputSpec
from densekit.layers._base.layer import Layer
from densekit.ops._keras_tensor import KerasTensor

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class Permute(Layer):
    """Puts the axes of each sample in another order: axis i of the output is axis ``dims[i - 1]``.

    Args:
        dims: a permutation of 1, 2, ..., rank - 1.

    Raises:
        ValueError: if it is none.

    Example:

    >>> import densekit as keras
    >>> keras.layers.Permute((2, 1))(keras.ops.ones((5, 2, 3))).shape
    (5, 3, 2)
    """

    def __init__(self, dims: Sequence[int], **kwargs: Unpack[AllLayerOptions]) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                message(
                    "Permute",
                    "`dims`, a permutation of 1, 2, ..., n",
                    describe(dims),
                    "Count the axes of a sample from 1.",
                )
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs: TensorLike) -> TensorLike:
        """The transposed inputs."""
        return ops.transpose(inputs, axes=(0, *self.dims))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> PartialShape:
        """The sizes in the new order."""
        return (input_shape[0], *(input_shape[axis] for axis in self.dims))

    def compute_output_spec(self, inputs: TensorLike) -> KerasTensor:
        """The sizes in the new order, of the inputs' dtype."""
        return KerasTensor(self.compute_output_shape(inputs.shape), dtype=inputs.dtype)

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """The elements in other places."""
        return plan.transpose(x, self.dims)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "dims": self.dims}
