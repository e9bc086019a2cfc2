"""New arrays: of one number, of a sequence, with a diagonal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from densekit._core.dtypes import standardize_dtype, to_numpy_dtype
from densekit._core.registry import export
from densekit._core.tensor import as_tensor
from densekit._core.types import Array, ArrayLike, DTypeLike, TensorLike
from densekit.ops._dispatch import (
    SCALARS,
    as_array,
    astype,
    default_dtype,
    dtype_name,
    floating,
    is_jax,
    namespace,
    result_type,
)
from densekit.ops._keras_tensor import standardize_shape
from densekit.ops._operation import operation
from densekit.ops._row_draws import values_of_rows


def _is_open(shape: int | Sequence[int]) -> bool:
    """Whether the size of the batch is not known: while a call is followed."""
    return not isinstance(shape, int | np.integer) and None in tuple(shape)


def rows_of(value: float, shape: object, dtype: DTypeLike) -> TensorLike:
    """A number in every row of a batch of open size, while a call is followed."""
    sizes = standardize_shape(shape)
    rows = values_of_rows("constant", sizes, (value, value), dtype, 0)
    return rows  # type: ignore[return-value]


@export("keras.ops")
def zeros(shape: int | Sequence[int], dtype: DTypeLike = None) -> TensorLike:
    """Zeros.

    Example:

    >>> from densekit import ops
    >>> ops.zeros((2,)).tolist()
    [0.0, 0.0]
    """
    if _is_open(shape):
        return rows_of(0.0, shape, dtype)
    return as_tensor(np.zeros(shape, to_numpy_dtype(dtype)))


@export("keras.ops")
def ones(shape: int | Sequence[int], dtype: DTypeLike = None) -> TensorLike:
    """Ones.

    Example:

    >>> from densekit import ops
    >>> ops.ones((2,)).tolist()
    [1.0, 1.0]
    """
    if _is_open(shape):
        return rows_of(1.0, shape, dtype)
    return as_tensor(np.ones(shape, to_numpy_dtype(dtype)))


@export("keras.ops")
def empty(shape: int | Sequence[int], dtype: DTypeLike = None) -> TensorLike:
    """An array whose elements are not set.

    Example:

    >>> from densekit import ops
    >>> ops.empty((2, 3)).shape
    (2, 3)
    """
    return as_tensor(np.empty(shape, to_numpy_dtype(dtype)))


@operation("numpy", tensors=0, arguments=("fill_value",))
def full(shape: int | Sequence[int], fill_value: ArrayLike, dtype: DTypeLike = None) -> TensorLike:
    """Copies of one value.

    Example:

    >>> from densekit import ops
    >>> ops.full((2,), 7).tolist()
    [7.0, 7.0]
    """
    value = astype(as_array(fill_value), standardize_dtype(dtype))
    return namespace(value).array(namespace(value).broadcast_to(value, shape))


def _like(x: TensorLike, value: ArrayLike, dtype: DTypeLike) -> TensorLike:
    xp = namespace(x, value)
    kind = to_numpy_dtype(dtype_name(x) if dtype is None else dtype)
    return xp.full(tuple(x.shape), value, kind)


@operation("numpy")
def zeros_like(x: TensorLike, dtype: DTypeLike = None) -> TensorLike:
    """Zeros in the shape of `x`.

    Example:

    >>> from densekit import ops
    >>> ops.zeros_like([3, 4]).tolist()
    [0, 0]
    """
    return _like(x, 0, dtype)


@operation("numpy")
def ones_like(x: TensorLike, dtype: DTypeLike = None) -> TensorLike:
    """Ones in the shape of `x`.

    Example:

    >>> from densekit import ops
    >>> ops.ones_like([3, 4]).tolist()
    [1, 1]
    """
    return _like(x, 1, dtype)


@operation("numpy")
def empty_like(x: TensorLike, dtype: DTypeLike = None) -> TensorLike:
    """An array in the shape of `x`; what is in it is not promised.

    Example:

    >>> from densekit import ops
    >>> ops.empty_like([[1.0, 2.0]]).shape
    (1, 2)
    """
    return _like(x, 0, dtype)


@operation("numpy", tensors=2)
def full_like(x: ArrayLike, fill_value: ArrayLike, dtype: DTypeLike = None) -> TensorLike:
    """Copies of one value in the shape of `x`.

    Example:

    >>> from densekit import ops
    >>> ops.full_like([1, 2], 7).tolist()
    [7, 7]
    """
    return _like(as_array(x), as_array(fill_value) if fill_value is None else fill_value, dtype)


@export("keras.ops")
def eye(N: int, M: int | None = None, k: int = 0, dtype: DTypeLike = None) -> TensorLike:
    """Ones on the k-th diagonal of an (N, M) matrix of zeros.

    Example:

    >>> from densekit import ops
    >>> ops.eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    matrix: Array = np.eye(N, M, k, to_numpy_dtype(dtype))
    return as_tensor(matrix)


@export("keras.ops")
def identity(n: int, dtype: DTypeLike = None) -> TensorLike:
    """The (n, n) matrix with ones on the diagonal.

    Example:

    >>> from densekit import ops
    >>> ops.identity(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    matrix: Array = np.eye(n, dtype=to_numpy_dtype(dtype))
    return as_tensor(matrix)


@export("keras.ops")
def tri(N: int, M: int | None = None, k: int = 0, dtype: DTypeLike = None) -> TensorLike:
    """Ones on and below the k-th diagonal.

    Example:

    >>> from densekit import ops
    >>> ops.tri(2).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    matrix: Array = np.tri(N, M, k, to_numpy_dtype(dtype))
    return as_tensor(matrix)


@operation("numpy", tensors=0, arguments=("start", "stop", "step"))
def arange(
    start: Any,
    stop: float | None = None,
    step: float | None = None,
    dtype: DTypeLike = None,
) -> TensorLike:
    """Numbers from `start` (0 if `stop` is not given) in steps of `step` up to before `stop`.

    Example:

    >>> from densekit import ops
    >>> ops.arange(0, 10, 3).tolist()
    [0, 3, 6, 9]
    """
    as_array(start)  # refuses None, an open size
    given = [value for value in (start, stop, step) if value is not None]
    if dtype is None:
        dtype = default_dtype(given)
    first, last = (0, start) if stop is None else (start, stop)
    return np.arange(first, last, 1 if step is None else step, dtype=to_numpy_dtype(dtype))


@operation("numpy", tensors=2)
def linspace(
    start: ArrayLike,
    stop: ArrayLike,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: DTypeLike = None,
    axis: int = 0,
) -> TensorLike:
    """`num` numbers at equal distances from `start` to `stop`, left out if not `endpoint`.

    Example:

    >>> from densekit import ops
    >>> ops.linspace(0.0, 1.0, 5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    kind = to_numpy_dtype(dtype or line_dtype(start, stop))
    start, stop = floating(as_array(start)), floating(as_array(stop))
    xp = namespace(start, stop)
    if xp is np:  # of halves the result alone is rounded
        wide = "float64" if kind.itemsize == 2 else kind.name
        start, stop = astype(start, wide), astype(stop, wide)
    if xp is np or is_jax(xp):
        line = xp.linspace(start, stop, num, endpoint, retstep, kind, axis)
        return (line[0], line[1].astype(kind)) if retstep else line  # type: ignore[return-value]
    step = (stop - start) / max(num - 1 if endpoint else num, 1)
    line = xp.moveaxis(start[..., None] + step[..., None] * np.arange(num, dtype=kind), -1, axis)
    return (line, step) if retstep else line  # type: ignore[return-value]


def line_dtype(start: ArrayLike, stop: ArrayLike) -> str:
    """Type of the numbers between two ends: a float of Python has none of its own."""
    ends = (type(x) if type(x) in SCALARS else dtype_name(as_array(x)) for x in (start, stop))
    return result_type(*ends, float)
