"""`Dot`: products of pairs of samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

from densekit import ops
from densekit._core.errors import describe, message
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, PartialShape, TensorLike
from densekit.layers._base.merging import Merge

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class Dot(Merge):
    """Dot products between the samples of two tensors.

    ``outputs[b, i..., j...] = sum over k of x[b, i..., k] * y[b, k, j...]``, k the chosen axes.

    Shapes:
        two tensors ``(batch, ...)`` with equal sizes along the chosen axes; the output keeps the
        other axes of both, or is ``(batch, 1)`` if there are none.

    Args:
        axes: the axis to sum over, one for both inputs or one for each; not the batch axis.
        normalize: whether both are scaled to norm 1 along it, for cosines. Default: ``False``.

    Raises:
        TypeError: if `axes` is neither an integer nor a list.
        ValueError: if it is no pair of integers, or the inputs do not fit.

    Example:

    >>> import densekit as keras
    >>> keras.layers.Dot(axes=1)([keras.ops.ones((5, 2)), keras.ops.ones((5, 2))]).shape
    (5, 1)
    """

    def __init__(
        self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Unpack[AllLayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        pair = axes if isinstance(axes, list | tuple) else [axes, axes]
        if not isinstance(axes, int | list | tuple):
            raise TypeError(message("Dot", "`axes` int or pair", describe(axes), "Pass e.g. 1."))
        if len(pair) != 2 or not all(isinstance(axis, int) for axis in pair):
            raise ValueError(message("Dot", "two integers", describe(axes), "Pass e.g. (1, 2)."))
        self.axes = axes
        self.normalize = normalize

    def _dk_pair(self, ranks: tuple[int, int]) -> tuple[int, int]:
        given = self.axes if isinstance(self.axes, list | tuple) else (self.axes, self.axes)
        axes = tuple(axis % rank for axis, rank in zip(given, ranks, strict=True))
        if 0 in axes:
            raise self._dk_refuse("other axes than the batch axis", self.axes, "Count from 1.")
        return axes

    def compute_output_shape(self, input_shape: Sequence[PartialShape]) -> PartialShape:
        """The axes not summed over."""
        self._dk_check_list(input_shape)
        self._dk_check_pair(input_shape)
        first, second = (list(shape) for shape in input_shape)
        i, j = self._dk_pair((len(first), len(second)))
        m, n = first.pop(i), second.pop(j)
        if m != n and None not in (m, n):
            raise self._dk_refuse(
                "equal sizes along `axes`",
                f"{m} and {n} in the shapes {list(input_shape)}",
                "Choose other `axes` or reshape.",
            )
        shape = (*first, *second[1:])
        return shape if len(shape) > 1 else (*shape, 1)

    def call(self, inputs: Sequence[TensorLike]) -> TensorLike:
        """The products."""
        return self._merge_function(inputs)

    def _merge_function(self, inputs: Sequence[TensorLike]) -> TensorLike:
        self._dk_check_pair(inputs)
        x, y = inputs
        i, j = self._dk_pair((len(x.shape), len(y.shape)))
        if self.normalize:
            x, y = ops.normalize(x, axis=i, epsilon=1e-12), ops.normalize(y, axis=j, epsilon=1e-12)
        shape: Any = self.compute_output_shape([x.shape, y.shape])
        size, rows = x.shape[i], x.shape[0]
        x = ops.reshape(ops.moveaxis(x, i, -1), (rows, _product(x.shape, i), size))
        y = ops.reshape(ops.moveaxis(y, j, 1), (rows, size, _product(y.shape, j)))
        return ops.reshape(ops.matmul(x, y), shape)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """None."""

    def lower(self, plan: PlanBuilder, x: Handle, y: Handle) -> Handle:
        """One product of matrices for each sample."""
        i, j = self._dk_pair((len(x.shape), len(y.shape)))
        whole = self.compute_output_shape([x.shape, y.shape])
        if self.normalize:
            x, y = (plan.normalization("unit", v, [k], 1e-12) for v, k in ((x, i), (y, j)))
        size = x.sample_shape[i - 1]
        x = plan.transpose(x, [k for k in range(1, len(x.shape)) if k != i] + [i])
        y = plan.transpose(y, [j] + [k for k in range(1, len(y.shape)) if k != j])
        x = plan.reshape(x, (x.size // size, size))
        y = plan.reshape(y, (size, y.size // size))
        return plan.reshape(plan.product(x, y), [n for n in whole[1:] if n is not None])

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "axes": self.axes, "normalize": self.normalize}


def _product(shape: Sequence[int], without: int) -> int:
    product = 1
    for axis, size in enumerate(shape):
        product *= 1 if axis in (0, without) else size
    return product


@export("keras.layers")
def dot(
    inputs: Sequence[TensorLike], axes: int | Sequence[int] = -1, **kwargs: Unpack[AllLayerOptions]
) -> Any:
    """``Dot(axes, **kwargs)(inputs)``: the layer `Dot` at once.

    Example:

    >>> import densekit as keras
    >>> keras.layers.dot([keras.Input((3,)), keras.Input((3,))], axes=1).shape
    (None, 1)
    """
    return Dot(axes=axes, **kwargs)(inputs)
