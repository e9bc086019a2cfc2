"""`Concatenate`: tensors end to end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

from densekit import ops
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, PartialShape, TensorLike
from densekit.layers._base.merging import Merge

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class Concatenate(Merge):
    """Puts a list of tensors end to end along an axis; all other sizes must agree.

    Args:
        axis: which; the batch axis is 0. Default: ``-1``.

    Raises:
        ValueError: when called on anything but a list of tensors that agree.

    Example:

    >>> import densekit as keras
    >>> keras.layers.Concatenate()([keras.ops.ones((5, 2)), keras.ops.ones((5, 3))]).shape
    (5, 5)
    """

    def __init__(self, axis: int = -1, **kwargs: Unpack[AllLayerOptions]) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def compute_output_shape(self, input_shape: Sequence[PartialShape]) -> PartialShape:
        """The sizes added up along `axis`."""
        self._dk_check_list(input_shape)
        shapes = [list(shape) for shape in input_shape]
        rank = len(shapes[0])
        bad = any(len(shape) != rank for shape in shapes) or not -rank <= self.axis < rank
        axis = self.axis % rank if rank else 0
        for i in range(0 if bad else rank):
            bad |= i != axis and len({shape[i] for shape in shapes} - {None}) > 1
        if bad:
            raise self._dk_refuse(
                f"shapes that agree except along axis {self.axis}",
                f"{[tuple(shape) for shape in shapes]}",
                "Reshape the inputs.",
            )
        sizes = [shape[axis] for shape in shapes]
        merged = [next((s[i] for s in shapes if s[i] is not None), None) for i in range(rank)]
        merged[axis] = None if None in sizes else sum(n for n in sizes if n is not None)
        return tuple(merged)

    def call(self, inputs: Sequence[TensorLike]) -> TensorLike:
        """The inputs end to end."""
        if not isinstance(inputs, list | tuple):
            raise self._dk_refuse("a list of inputs", inputs, "Call it on a list: layer([a, b]).")
        return self._merge_function(inputs)

    def _merge_function(self, inputs: Sequence[TensorLike]) -> TensorLike:
        return ops.concatenate(inputs, axis=self.axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> TensorLike | None:
        """Masks end to end, too; what has none counts."""
        masks = self._dk_checked_masks(inputs, mask)
        if all(m is None for m in masks):
            return None
        spread = [_spread(x, m) for x, m in zip(inputs, masks, strict=True)]
        return ops.any(ops.concatenate(spread, axis=self.axis), axis=-1)

    def lower(self, plan: PlanBuilder, *xs: Handle) -> Handle:
        """One copying step."""
        return plan.concatenate(xs, self.axis)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "axis": self.axis}


def _spread(x: TensorLike, mask: TensorLike | None) -> TensorLike:
    """A mask with the shape of its tensor."""
    if mask is None:
        return ops.ones_like(x, dtype="bool")
    if len(mask.shape) == len(x.shape):
        return mask
    return ops.logical_or(ops.expand_dims(mask, -1), ops.zeros_like(x, dtype="bool"))


@export("keras.layers")
def concatenate(
    inputs: Sequence[TensorLike], axis: int = -1, **kwargs: Unpack[AllLayerOptions]
) -> Any:
    """``Concatenate(axis, **kwargs)(inputs)``: the layer `Concatenate` at once.

    Example:

    >>> import densekit as keras
    >>> keras.layers.concatenate([keras.Input((3,)), keras.Input((2,))]).shape
    (None, 5)
    """
    return Concatenate(axis=axis, **kwargs)(inputs)
