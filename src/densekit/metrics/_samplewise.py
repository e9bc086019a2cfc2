"""Values and weights of samples. Nothing is broadcast that was not asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from densekit import ops
from densekit._core.errors import message
from densekit._core.tensor import Tensor
from densekit._core.types import ArrayLike, Shape, TensorLike

F = TypeVar("F", bound=Callable[..., object])

_CHARS = {"float32": "f", "float64": "d"}  # asking a dtype for its name takes longer


def samplewise(
    where: str,
    values: ArrayLike,
    sample_weight: ArrayLike | None,
    reduce: Callable[..., TensorLike],
    dtype: str,
) -> tuple[TensorLike, TensorLike | None]:
    """One value for each sample, times its weight, and the weights.

    Weights are a scalar, one for each sample, or one for each entry of the leading axes of
    `values`; axes that have no weights of their own are reduced by `reduce` first, all others
    after the multiplication.

    Raises:
        ValueError: for weights of another shape.
    """
    if type(values) is Tensor and values.dtype.char == _CHARS.get(dtype):
        found: TensorLike = values
    else:
        found = ops.cast(ops.convert_to_tensor(values), dtype)
    if sample_weight is None:
        return _reduced(found, 1, reduce), None
    weight = _fitting(where, sample_weight, tuple(found.shape), dtype)
    found = _reduced(found, len(weight.shape), reduce)
    weight = ops.broadcast_to(weight, found.shape)
    return _reduced(found * weight, 1, reduce), _reduced(weight, 1, reduce)


def masked(where: str, sample_weight: ArrayLike, valid: TensorLike, dtype: str) -> TensorLike:
    """A weight for each value, 0 where it is not `valid`."""
    shape = tuple(valid.shape)
    weight = _fitting(where, sample_weight, shape, dtype)
    own = tuple(weight.shape)
    counts: TensorLike = ops.cast(valid, dtype)
    return ops.reshape(weight, own + (1,) * (len(shape) - len(own))) * counts


def _fitting(where: str, sample_weight: ArrayLike, shape: Shape, dtype: str) -> TensorLike:
    """The weights as an array with at most as many axes as the values."""
    weight: TensorLike = ops.cast(ops.convert_to_tensor(sample_weight), dtype)
    if tuple(weight.shape) == (*shape, 1):
        weight = weight[..., 0]
    if fits_weights(tuple(weight.shape), shape):
        return weight
    raise ValueError(
        message(
            where,
            f"a weight for each of the leading axes of {shape}",
            f"`sample_weight` of shape {tuple(weight.shape)}",
            "Pass one weight for each sample.",
        )
    )


def fits_weights(own: Shape, shape: Shape) -> bool:
    """Whether weights go with the leading axes of values; one row of them, with every row."""
    first = 0 if len(own) == len(shape) > 1 else 1  # from there an axis of size 1 is written out
    return len(own) <= len(shape) and all(
        have == want or (axis >= first and have == 1)
        for axis, (have, want) in enumerate(zip(own, shape, strict=False))
    )


def _reduced(values: TensorLike, depth: int, reduce: Callable[..., TensorLike]) -> TensorLike:
    axes = tuple(range(depth, len(values.shape)))
    return reduce(values, axis=axes) if axes else values


# Functions whose values are all 0 or 1, and what counts the ones of a plain batch at once.
_counts: dict[object, Callable[..., int | None]] = {}


def counted_by(count: Callable[..., int | None]) -> Callable[[F], F]:
    """Declare what counts for plain arrays; it is called like the function."""

    def declare(function: F) -> F:
        _counts[function] = count
        return function

    return declare


def count_at_once(
    function: object, arguments: Mapping[str, object], y_true: object, y_pred: object
) -> int | None:
    """The sum of the function's values, all 0 or 1; None where the function has to say."""
    count = _counts.get(function)
    if count is None or type(y_true) is not Tensor or type(y_pred) is not Tensor:
        return None
    true, pred = y_true.view(np.ndarray), y_pred.view(np.ndarray)
    return count(true, pred, **arguments) if pred.dtype.char in "fd" and pred.ndim == 2 else None
