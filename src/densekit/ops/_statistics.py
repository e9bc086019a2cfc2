"""Order statistics, weighted means, counting into bins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from densekit._core.dtypes import to_numpy_dtype
from densekit._core.errors import message
from densekit._core.scope import note_sized_by_values
from densekit._core.types import ArrayLike, Axes, Namespace, TensorLike
from densekit.ops._core_ops import stop_gradient
from densekit.ops._dispatch import (
    as_array,
    astype,
    dtype_name,
    floating,
    meet_arrays,
    namespace,
    operand,
    select,
)
from densekit.ops._indexing import ascending
from densekit.ops._operation import operation

_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


def sorted_rows(x: TensorLike, axis: Axes, method: str) -> tuple[Any, tuple[int, ...]]:
    """`x` with the axes of `axis` joined into a last one, sorted; the kept shape."""
    if method not in _METHODS:
        raise ValueError(f"quantile: expected `method` to be one of {_METHODS}, got {method!r}.")
    xp = namespace(x)
    axes = (
        tuple(range(x.ndim))
        if axis is None
        else axis
        if isinstance(axis, tuple | list)
        else (axis,)
    )
    axes = tuple(sorted(normalize_axis_tuple(axes, x.ndim)))
    kept = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    last = tuple(range(x.ndim - len(axes), x.ndim))
    flat = xp.moveaxis(x, axes, last)
    return ascending(xp.reshape(flat, (*flat.shape[: x.ndim - len(axes)], -1))), kept


def neighbours(xp: Namespace, place: TensorLike, method: str) -> tuple[Any, Any, Any]:
    """Positions below and above `place`, and the share of the one above."""
    below, above = xp.floor(place).astype(int), xp.ceil(place).astype(int)
    if method == "nearest":
        below = above = xp.round(place).astype(int)
    shares = {
        "linear": place - below,
        "lower": np.zeros(()),
        "higher": np.ones(()),
        "midpoint": (above != below) * 0.5,
        "nearest": np.zeros(()),
    }
    return below, above, shares[method]


def between(xp: Namespace, low: TensorLike, high: TensorLike, share: TensorLike) -> TensorLike:
    """The number that far from `low` to `high`; where that is no way at all, infinity stays."""
    zero = np.zeros((), low.dtype)
    low, high = select(xp, share == 1, zero, low), select(xp, share == 0, zero, high)
    return low * (1 - share) + high * share


def _quantile(x: TensorLike, q: ArrayLike, axis: Axes, method: str, keepdims: bool) -> TensorLike:
    """By sorting and interpolating, so that every array library differentiates it."""
    xp, x = namespace(x), floating(x)
    q = np.asarray(q, np.float64)
    flat, kept = sorted_rows(x, axis, method)
    below, above, share = neighbours(np, q * (flat.shape[-1] - 1), method)
    share = np.asarray(share, to_numpy_dtype(dtype_name(x)))
    low, high = flat[..., below], flat[..., above]
    found = between(xp, low, high, share)
    missing = xp.isnan(flat[..., -1])  # NaN sorts last
    found = xp.where(
        missing.reshape(missing.shape + (1,) * q.ndim), np.asarray(np.nan, x.dtype), found
    )
    if q.ndim:
        found = xp.moveaxis(found, -1, 0)
    return xp.reshape(found, q.shape + kept) if keepdims else found


@operation("numpy", arguments=("x", "q"))
def quantile(
    x: TensorLike, q: ArrayLike, axis: Axes = None, method: str = "linear", keepdims: bool = False
) -> TensorLike:
    """The values below which the shares `q`, from 0 to 1, of the elements lie.

    Example:

    >>> from densekit import ops
    >>> float(ops.quantile([1.0, 2.0, 3.0], 0.25))
    1.5
    """
    return _quantile(x, q, axis, method, keepdims)


@operation("numpy", arguments=("x", "q"))
def percentile(
    x: TensorLike, q: ArrayLike, axis: Axes = None, method: str = "linear", keepdims: bool = False
) -> TensorLike:
    """`quantile` of ``q / 100``.

    Example:

    >>> from densekit import ops
    >>> float(ops.percentile([1.0, 2.0, 3.0], 50))
    2.0
    """
    return _quantile(x, np.asarray(q) / 100.0, axis, method, keepdims)


@operation("numpy")
def median(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> TensorLike:
    """The value in the middle, the mean of two if their number is even.

    Example:

    >>> from densekit import ops
    >>> float(ops.median([1.0, 9.0, 2.0]))
    2.0
    """
    return _quantile(x, 0.5, axis, "midpoint", keepdims)


@operation("numpy", arguments=("x", "weights"))
def average(x: TensorLike, axis: int | None = None, weights: ArrayLike | None = None) -> TensorLike:
    """Mean along `axis` with `weights`, in the shape of `x` or of the axis.

    Example:

    >>> from densekit import ops
    >>> float(ops.average([1.0, 4.0], weights=[3, 1]))
    1.75
    """
    xp = namespace(x, weights)
    if weights is None:
        return xp.mean(floating(x), axis=axis)
    _, x, weights = meet_arrays(x, operand(weights))
    x, weights = floating(x), floating(weights)
    if weights.ndim != x.ndim:
        if axis is None:
            raise ValueError(
                message(
                    "ops.average",
                    "`axis` where `weights` have another shape than `x`",
                    f"shapes {tuple(weights.shape)} and {tuple(x.shape)}",
                    "Say which axis the weights go along.",
                )
            )
        shape = [1] * x.ndim
        shape[axis] = -1
        weights = xp.reshape(weights, tuple(shape))
    return xp.sum(x * weights, axis=axis) / xp.sum(weights * xp.ones_like(x), axis=axis)


@operation("numpy")
def ptp(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> TensorLike:
    """Largest minus smallest element along `axis`.

    Example:

    >>> from densekit import ops
    >>> int(ops.ptp([1, 4, 9]))
    8
    """
    xp = namespace(x)
    return xp.max(x, axis=axis, keepdims=keepdims) - xp.min(x, axis=axis, keepdims=keepdims)


@operation("numpy")
def diff(a: TensorLike, n: int = 1, axis: int = -1) -> TensorLike:
    """Differences of neighbours along `axis`, taken `n` times.

    Example:

    >>> from densekit import ops
    >>> ops.diff([1, 4, 9]).tolist()
    [3, 5]
    """
    return namespace(a).diff(a, n, axis)


@operation("numpy", tensors=2, convert=as_array)
def digitize(x: TensorLike, bins: TensorLike) -> TensorLike:
    """Index of the bin each element falls in; `bins` are ascending edges.

    Example:

    >>> from densekit import ops
    >>> ops.digitize([0.2, 1.5], [0.0, 1.0, 2.0]).tolist()
    [1, 2]
    """
    x, bins = stop_gradient(x), stop_gradient(bins)
    return astype(as_array(namespace(x, bins).digitize(x, bins)), "int32")


@operation("numpy", "SearchSorted", tensors=2, convert=as_array)
def searchsorted(sorted_sequence: TensorLike, values: TensorLike, side: str = "left") -> TensorLike:
    """Where `values` would have to be put in to keep the order.

    Example:

    >>> from densekit import ops
    >>> ops.searchsorted([1, 3, 5], [0, 3, 6]).tolist()
    [0, 1, 3]
    """
    xp = namespace(sorted_sequence, values)
    return astype(as_array(xp.searchsorted(sorted_sequence, values, side=side)), "int32")


@operation("numpy")
def bincount(
    x: TensorLike, weights: ArrayLike | None = None, minlength: int = 0, sparse: bool = False
) -> TensorLike:
    """How often each of 0, 1, 2, ... occurs, or the sum of its weights, row by row.

    Example:

    >>> from densekit import ops
    >>> ops.bincount([0, 1, 1, 3]).tolist()
    [1, 2, 0, 1]
    """
    x = stop_gradient(x)
    note_sized_by_values()
    if x.ndim == 2:
        length = max(minlength, int(x.max(initial=-1)) + 1)
        rows = [None] * len(x) if weights is None else as_array(weights)
        return np.stack([bincount(r, w, length) for r, w in zip(x, rows, strict=True)])
    xp = namespace(x)
    counts = xp.bincount(x, None if weights is None else as_array(weights), minlength)
    kind = "int32" if weights is None else dtype_name(as_array(weights))
    return astype(counts, kind)


@operation("numpy", "IsIn", tensors=2, convert=as_array)
def isin(
    x1: TensorLike, x2: TensorLike, assume_unique: bool = False, invert: bool = False
) -> TensorLike:
    """Whether each element of `x1` occurs in `x2`.

    Example:

    >>> from densekit import ops
    >>> ops.isin([1, 2, 3], [2, 3]).tolist()
    [False, True, True]
    """
    x1, x2 = stop_gradient(x1), stop_gradient(x2)
    return namespace(x1, x2).isin(x1, x2, assume_unique=assume_unique, invert=invert)
