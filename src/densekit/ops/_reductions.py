"""Reductions along axes: sums, means, extremes, norms of distribution, orders."""

from __future__ import annotations

from typing import Any

import numpy as np

from densekit._core.boxes import BOXES
from densekit._core.errors import message
from densekit._core.types import ArrayLike, Axes, DTypeLike, TensorLike
from densekit.ops._dispatch import (
    ARRAYS,
    as_array,
    astype,
    dtype_name,
    floating,
    is_jax,
    namespace,
)
from densekit.ops._operation import operation

_SUM_TYPES = {
    "bool": "int32",
    "int8": "int32",
    "int16": "int32",
    "uint8": "uint32",
    "uint16": "uint32",
}


def _axes(axis: Axes) -> Axes:
    return tuple(axis) if isinstance(axis, list) else axis


def widened(x: TensorLike, dtype: DTypeLike = None) -> dict[str, Any]:
    """Keyword for `sum` and `prod`: the type of the result, narrow integers widened to 32 bits."""
    if dtype is None and x.dtype.kind == "f":
        return {}
    return {"dtype": dtype or _SUM_TYPES.get(dtype_name(x), dtype_name(x))}


@operation("numpy")
def sum(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> TensorLike:
    """Sum of the elements along `axis`.

    Example:

    >>> from densekit import ops
    >>> ops.sum([[1, 5], [4, 2]], axis=1).tolist()
    [6, 6]
    """
    return namespace(x).sum(x, axis=_axes(axis), keepdims=keepdims, **widened(x))


def _recorded_product(x: TensorLike, axis: Axes, keepdims: bool) -> TensorLike:
    """Halves times halves: the slopes of a plain product divide by the factors, which may be 0."""
    chosen = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    along = [a % x.ndim for a in chosen]
    rest = [i for i in range(x.ndim) if i not in along]
    shape = [1 if i in along else n for i, n in enumerate(x.shape)]
    xp = namespace(x)
    x = xp.reshape(xp.transpose(x, (*along, *rest)), (-1, *(x.shape[i] for i in rest)))
    while len(x) > 1:
        half = len(x) // 2
        y = x[:half] * x[half : 2 * half]
        x = xp.concatenate([y, x[2 * half :]], axis=0) if len(x) % 2 else y
    return xp.reshape(x, tuple(shape if keepdims else (x.shape[1:])))


@operation("numpy")
def prod(
    x: TensorLike, axis: Axes = None, keepdims: bool = False, dtype: DTypeLike = None
) -> TensorLike:
    """Product of the elements along `axis`.

    Example:

    >>> from densekit import ops
    >>> ops.prod([[1, 5], [4, 2]], axis=1).tolist()
    [5, 8]
    """
    if type(x) in BOXES and x.size and dtype is None:
        return _recorded_product(x, _axes(axis), keepdims)
    return namespace(x).prod(x, axis=_axes(axis), keepdims=keepdims, **widened(x, dtype))


@operation("numpy")
def mean(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> TensorLike:
    """Arithmetic mean along `axis`.

    Example:

    >>> from densekit import ops
    >>> ops.mean([[1.0, 5.0], [4.0, 2.0]], axis=0).tolist()
    [2.5, 3.5]
    """
    if type(axis) is int and type(x) in ARRAYS and x.ndim > 1 and x.size and x.dtype.char in "fd":
        # As NumPy does, without its looks at other types.
        total = np.add.reduce(x, axis=axis, keepdims=bool(keepdims))  # type: ignore[call-overload]
        quotient: TensorLike = np.true_divide(total, x.dtype.type(x.shape[axis]))
        return quotient
    return namespace(x).mean(floating(x), axis=_axes(axis), keepdims=keepdims)


@operation("numpy")
def var(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> TensorLike:
    """Mean squared distance from the mean along `axis`.

    Example:

    >>> from densekit import ops
    >>> float(ops.var([1.0, 5.0]))
    4.0
    """
    return namespace(x).var(floating(x), axis=_axes(axis), keepdims=keepdims)


@operation("numpy")
def std(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> TensorLike:
    """Square root of `var`.

    Example:

    >>> from densekit import ops
    >>> float(ops.std([1.0, 3.0]))
    1.0
    """
    return namespace(x).std(floating(x), axis=_axes(axis), keepdims=keepdims)


# NumPy calls its loop for each row, which takes 40 ns; a call for a column takes 300.
_FEW_COLUMNS = 4


def _extreme_of_few(choose: np.ufunc, x: TensorLike) -> TensorLike:
    """The extreme along the last axis, column by column."""
    found: TensorLike = choose(x[..., 0], x[..., 1])
    for i in range(2, x.shape[-1]):
        choose(found, x[..., i], out=found)
    return found


def _extreme(
    choose: str, x: TensorLike, axis: Axes, keepdims: bool, initial: ArrayLike | None
) -> TensorLike:
    if type(axis) is int and type(x) in ARRAYS and not keepdims and x.ndim > 1 and initial is None:
        columns = x.shape[-1]
        last = axis == -1 or axis == x.ndim - 1
        if last and 2 <= columns <= _FEW_COLUMNS and x.size > 16 * columns:
            return _extreme_of_few(np.maximum if choose == "max" else np.minimum, x)
    xp = namespace(x)
    found: TensorLike
    if initial is not None and 0 in x.shape:  # of nothing, `initial` is the extreme
        shape = xp.sum(x, axis=_axes(axis), keepdims=keepdims).shape
        return xp.broadcast_to(astype(as_array(initial), dtype_name(x)), shape)
    found = getattr(xp, choose)(x, axis=_axes(axis), keepdims=keepdims)
    if initial is not None:
        found = getattr(xp, choose + "imum")(found, astype(as_array(initial), dtype_name(x)))
    return found


@operation("numpy")
def max(
    x: TensorLike, axis: Axes = None, keepdims: bool = False, initial: ArrayLike | None = None
) -> TensorLike:
    """Largest element along `axis`, at least `initial`.

    Example:

    >>> from densekit import ops
    >>> ops.max([[1, 5], [4, 2]], axis=1).tolist()
    [5, 4]
    """
    return _extreme("max", x, axis, keepdims, initial)


@operation("numpy")
def min(
    x: TensorLike, axis: Axes = None, keepdims: bool = False, initial: ArrayLike | None = None
) -> TensorLike:
    """Smallest element along `axis`, at most `initial`.

    Example:

    >>> from densekit import ops
    >>> ops.min([[1, 5], [4, 2]], axis=1).tolist()
    [1, 2]
    """
    return _extreme("min", x, axis, keepdims, initial)


@operation("numpy")
def amax(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> TensorLike:
    """Largest element along `axis`.

    Example:

    >>> from densekit import ops
    >>> ops.amax([[1, 5], [4, 2]], axis=0).tolist()
    [4, 5]
    """
    return _extreme("max", x, axis, keepdims, None)


@operation("numpy")
def amin(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> TensorLike:
    """Smallest element along `axis`.

    Example:

    >>> from densekit import ops
    >>> ops.amin([[1, 5], [4, 2]], axis=0).tolist()
    [1, 2]
    """
    return _extreme("min", x, axis, keepdims, None)


@operation("numpy")
def all(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> TensorLike:
    """Whether every element along `axis` is true.

    Example:

    >>> from densekit import ops
    >>> ops.all([[True, False], [True, True]], axis=1).tolist()
    [False, True]
    """
    return namespace(x).all(x, axis=_axes(axis), keepdims=keepdims)


@operation("numpy")
def any(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> TensorLike:
    """Whether an element along `axis` is true.

    Example:

    >>> from densekit import ops
    >>> ops.any([[True, False], [False, False]], axis=1).tolist()
    [True, False]
    """
    return namespace(x).any(x, axis=_axes(axis), keepdims=keepdims)


def _position(choose: str, x: TensorLike, axis: int | None, keepdims: bool) -> TensorLike:
    found = getattr(namespace(x), choose)(x, axis=axis, keepdims=keepdims)
    return astype(as_array(found), "int32")


@operation("numpy")
def argmax(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> TensorLike:
    """Index of the largest element, the first of equals; without `axis` in the flat array.

    Example:

    >>> from densekit import ops
    >>> ops.argmax([[1, 5], [4, 2]], axis=1).tolist()
    [1, 0]
    """
    return _position("argmax", x, axis, keepdims)


@operation("numpy")
def argmin(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> TensorLike:
    """Index of the smallest element, the first of equals; without `axis` in the flat array.

    Example:

    >>> from densekit import ops
    >>> ops.argmin([[1, 5], [4, 2]], axis=1).tolist()
    [0, 1]
    """
    return _position("argmin", x, axis, keepdims)


@operation("numpy")
def count_nonzero(x: TensorLike, axis: Axes = None) -> TensorLike:
    """Number of elements that are not 0 along `axis`.

    Example:

    >>> from densekit import ops
    >>> int(ops.count_nonzero([0, 3, 0, 1]))
    2
    """
    return astype(as_array(namespace(x).count_nonzero(x, axis=_axes(axis))), "int32")


@operation("numpy")
def cumsum(x: TensorLike, axis: int | None = None, dtype: DTypeLike = None) -> TensorLike:
    """Running sum along `axis`.

    Example:

    >>> from densekit import ops
    >>> ops.cumsum([1, 2, 3, 4]).tolist()
    [1, 3, 6, 10]
    """
    return running("cumsum", x, axis, dtype)


@operation("numpy")
def cumprod(x: TensorLike, axis: int | None = None, dtype: DTypeLike = None) -> TensorLike:
    """Running product along `axis`.

    Example:

    >>> from densekit import ops
    >>> ops.cumprod([1, 2, 3, 4]).tolist()
    [1, 2, 6, 24]
    """
    return running("cumprod", x, axis, dtype)


def running(name: str, x: TensorLike, axis: Axes, dtype: Any) -> TensorLike:
    """`cumsum` or `cumprod`; a list of axes may hold one."""
    if isinstance(axis, tuple | list):
        if len(axis) != 1:
            expected = "one `axis`, or None"
            raise ValueError(message(f"ops.{name}", expected, repr(axis), "Call it for each axis."))
        axis = axis[0]
    dtype = dtype or ("int32" if dtype_name(x) == "bool" else dtype_name(x))
    xp, x = namespace(x), astype(x, dtype)
    if name == "cumprod" and xp is not np and not is_jax(xp):  # autograd has no gradient for it
        x = xp.ravel(x) if axis is None else xp.moveaxis(x, axis, 0)
        rows = [x[0]] if len(x) else []
        for row in x[1:]:
            rows.append(rows[-1] * row)
        return xp.moveaxis(xp.stack(rows), 0, axis or 0) if rows else x
    return astype(getattr(xp, name)(x, axis=axis), dtype)
