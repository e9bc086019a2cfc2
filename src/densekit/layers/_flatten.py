"""`Flatten`: one axis per sample."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Unpack

from densekit import ops
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, PartialShape, TensorLike
from densekit.layers._base.formats import checked_format
from densekit.layers._base.input_spec import InputSpec
from densekit.layers._base.layer import Layer
from densekit.ops._keras_tensor import KerasTensor

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class Flatten(Layer):
    """Lays each sample out in one row: ``(batch, a, b) -> (batch, a * b)``; one value makes a row.

    Args:
        data_format: ``"channels_last"``, or ``"channels_first"``, which moves axis 1 to the end
            first. Default: `config.image_data_format`.

    Raises:
        ValueError: for another `data_format` or an input of rank 0.

    Example:

    >>> import densekit as keras
    >>> keras.layers.Flatten()(keras.ops.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, data_format: str | None = None, **kwargs: Unpack[AllLayerOptions]) -> None:
        super().__init__(**kwargs)
        self.data_format = checked_format("Flatten", data_format)
        self.input_spec = InputSpec(min_ndim=1)

    def _dk_moves_axis(self, rank: int) -> bool:
        return self.data_format == "channels_first" and rank > 2

    def call(self, inputs: TensorLike) -> TensorLike:
        """The rows."""
        rank = len(inputs.shape)
        if self._dk_moves_axis(rank):
            inputs = ops.transpose(inputs, axes=(0, *range(2, rank), 1))
        return ops.reshape(inputs, (inputs.shape[0], math.prod(inputs.shape[1:])))

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        """``(batch, product of the other sizes)``."""
        sizes = tuple(input_shape[1:])
        return (
            input_shape[0],
            None if None in sizes else math.prod(n for n in sizes if n is not None),
        )

    def compute_output_spec(self, inputs: TensorLike) -> KerasTensor:
        """The rows, of the inputs' dtype."""
        return KerasTensor(self.compute_output_shape(inputs.shape), dtype=inputs.dtype)

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """Free, unless the channels move."""
        rank = len(x.shape)
        if self._dk_moves_axis(rank):
            x = plan.transpose(x, (*range(2, rank), 1))
        return plan.reshape(x, (x.size,))

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "data_format": self.data_format}
