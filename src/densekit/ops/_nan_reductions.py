"""Reductions that pass over NaN."""

from __future__ import annotations

import numpy as np

from densekit._core.types import ArrayLike, Axes, DTypeLike, Namespace, TensorLike
from densekit.ops._dispatch import as_array, astype, dtype_name, floating, namespace, select
from densekit.ops._indexing import take_along_axis
from densekit.ops._operation import operation
from densekit.ops._reductions import prod, running, widened
from densekit.ops._statistics import between, neighbours, sorted_rows


def _filled(x: TensorLike, value: float) -> tuple[Namespace, TensorLike, TensorLike]:
    """``(namespace, x, known)``: `x` with `value` for NaN, and where it has none."""
    xp = namespace(x)
    if x.dtype.kind not in "fcV":
        return xp, x, np.ones(x.shape, bool)
    missing = xp.isnan(x)
    return xp, select(xp, missing, np.asarray(value, x.dtype), x), xp.logical_not(missing)


def _along(axis: Axes) -> Axes:
    return tuple(axis) if isinstance(axis, list) else axis


def _count(xp: Namespace, known: TensorLike, axis: Axes, keepdims: bool, dtype: str) -> TensorLike:
    return astype(as_array(xp.sum(known, axis=axis, keepdims=keepdims)), dtype)


@operation("numpy")
def nansum(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> TensorLike:
    """Sum of the elements that are not NaN; 0 if there are none.

    Example:

    >>> from densekit import ops
    >>> float(ops.nansum([1.0, float("nan"), 2.0]))
    3.0
    """
    xp, x, _ = _filled(x, 0.0)
    return xp.sum(x, axis=_along(axis), keepdims=keepdims, **widened(x))


@operation("numpy")
def nanprod(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> TensorLike:
    """Product of the elements that are not NaN; 1 if there are none.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> float(ops.nanprod([1.0, np.nan, 3.0]))
    3.0
    """
    product: TensorLike = prod(_filled(x, 1.0)[1], axis=_along(axis), keepdims=keepdims)
    return product


@operation("numpy", quiet=True)
def nanmean(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> TensorLike:
    """Mean of the elements that are not NaN; NaN if there are none.

    Example:

    >>> from densekit import ops
    >>> float(ops.nanmean([1.0, float("nan"), 2.0]))
    1.5
    """
    return _mean(floating(x), _along(axis), keepdims)


def _mean(x: TensorLike, axis: Axes, keepdims: bool) -> TensorLike:
    xp, x, known = _filled(x, 0.0)
    total = xp.sum(x, axis=axis, keepdims=keepdims)
    return total / _count(xp, known, axis, keepdims, dtype_name(x))


@operation("numpy", quiet=True)
def nanvar(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> TensorLike:
    """Mean squared distance from `nanmean` of the elements that are not NaN.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> float(ops.nanvar([1.0, np.nan, 3.0]))
    1.0
    """
    return _variance(x, _along(axis), keepdims)


def _variance(x: TensorLike, axis: Axes, keepdims: bool) -> TensorLike:
    x = floating(x)
    xp, filled, known = _filled(x, 0.0)
    distance = select(xp, known, filled - _mean(x, axis, keepdims=True), np.zeros((), x.dtype))
    total = xp.sum(distance * distance, axis=axis, keepdims=keepdims)
    return total / _count(xp, known, axis, keepdims, dtype_name(x))


@operation("numpy", quiet=True)
def nanstd(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> TensorLike:
    """Square root of `nanvar`.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> float(ops.nanstd([1.0, np.nan, 3.0]))
    1.0
    """
    return namespace(x).sqrt(_variance(x, _along(axis), keepdims))


def _extreme(choose: str, x: TensorLike, axis: Axes, keepdims: bool) -> TensorLike:
    axis, outside = _along(axis), -np.inf if choose == "max" else np.inf
    xp, filled, known = _filled(x, outside)
    found: TensorLike = getattr(xp, choose)(filled, axis=axis, keepdims=keepdims)
    if x.dtype.kind not in "fcV":
        return found
    empty = xp.logical_not(xp.any(known, axis=axis, keepdims=keepdims))
    return select(xp, empty, np.asarray(np.nan, x.dtype), found)


@operation("numpy")
def nanmax(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> TensorLike:
    """Largest element that is not NaN; NaN if there is none.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> float(ops.nanmax([1.0, np.nan, 3.0]))
    3.0
    """
    return _extreme("max", x, axis, keepdims)


@operation("numpy")
def nanmin(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> TensorLike:
    """Smallest element that is not NaN; NaN if there is none.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> float(ops.nanmin([1.0, np.nan, 3.0]))
    1.0
    """
    return _extreme("min", x, axis, keepdims)


def _position(choose: str, x: TensorLike, axis: int | None, keepdims: bool) -> TensorLike:
    xp, filled, known = _filled(x, -np.inf if choose == "argmax" else np.inf)
    found = astype(as_array(getattr(xp, choose)(filled, axis=axis, keepdims=keepdims)), "int32")
    nothing = xp.logical_not(xp.any(known, axis=axis, keepdims=keepdims))
    return xp.where(nothing, np.int32(-1), found)


@operation("numpy")
def nanargmax(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> TensorLike:
    """Index of the largest element that is not NaN, -1 if there is none.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> int(ops.nanargmax([1.0, np.nan, 3.0]))
    2
    """
    return _position("argmax", x, axis, keepdims)


@operation("numpy")
def nanargmin(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> TensorLike:
    """Index of the smallest element that is not NaN, -1 if there is none.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> int(ops.nanargmin([1.0, np.nan, 3.0]))
    0
    """
    return _position("argmin", x, axis, keepdims)


@operation("numpy")
def nancumsum(x: TensorLike, axis: Axes = None, dtype: DTypeLike = None) -> TensorLike:
    """Running sum along `axis`, NaN counting as 0.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> ops.nancumsum([2.0, np.nan, 3.0]).tolist()
    [2.0, 2.0, 5.0]
    """
    return running("cumsum", _filled(x, 0.0)[1], axis, dtype)


@operation("numpy")
def nancumprod(x: TensorLike, axis: Axes = None, dtype: DTypeLike = None) -> TensorLike:
    """Running product along `axis`, NaN counting as 1.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> ops.nancumprod([2.0, np.nan, 3.0]).tolist()
    [2.0, 2.0, 6.0]
    """
    return running("cumprod", _filled(x, 1.0)[1], axis, dtype)


def _quantile(x: TensorLike, q: ArrayLike, axis: Axes, method: str, keepdims: bool) -> TensorLike:
    """As in `quantile`, but each row counts its own known elements."""
    xp, x = namespace(x), floating(x)
    flat, kept = sorted_rows(x, axis, method)  # NaN sorts last
    known = xp.sum(xp.logical_not(xp.isnan(flat)), axis=-1, keepdims=True)
    q = np.asarray(q, np.float64)
    place = q.reshape(-1) * xp.maximum(known - 1, 0)
    below, above, share = neighbours(xp, place, method)
    share = share.astype(x.dtype)
    low, high = (take_along_axis(flat, places, axis=-1) for places in (below, above))
    found = select(xp, known == 0, np.asarray(np.nan, x.dtype), between(xp, low, high, share))
    found = xp.moveaxis(found, -1, 0)
    return xp.reshape(found, q.shape + (kept if keepdims else flat.shape[:-1]))


@operation("numpy", arguments=("x", "q"))
def nanquantile(
    x: TensorLike, q: ArrayLike, axis: Axes = None, method: str = "linear", keepdims: bool = False
) -> TensorLike:
    """`quantile` of the elements that are not NaN; NaN if there are none.

    Example:

    >>> from densekit import ops
    >>> float(ops.nanquantile([1.0, float("nan"), 2.0], 0.5))
    1.5
    """
    return _quantile(x, q, axis, method, keepdims)


@operation("numpy", arguments=("x", "q"))
def nanpercentile(
    x: TensorLike, q: ArrayLike, axis: Axes = None, method: str = "linear", keepdims: bool = False
) -> TensorLike:
    """`nanquantile` of ``q / 100``.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> float(ops.nanpercentile([1.0, np.nan, 3.0], 50))
    2.0
    """
    return _quantile(x, np.asarray(q) / 100.0, axis, method, keepdims)


@operation("numpy")
def nanmedian(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> TensorLike:
    """`median` of the elements that are not NaN; NaN if there are none.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> float(ops.nanmedian([1.0, np.nan, 3.0]))
    2.0
    """
    return _quantile(x, 0.5, axis, "midpoint", keepdims)
