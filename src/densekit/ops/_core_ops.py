"""Arrays from values and back, types, constants, and control flow."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from densekit._core.boxes import unboxed
from densekit._core.dtypes import standardize_dtype, to_numpy_dtype
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.tensor import as_tensor, lend
from densekit._core.types import Array, ArrayLike, DTypeLike, TensorLike
from densekit._core.variable import Variable
from densekit.ops._dispatch import (
    as_array,
    astype,
    default_dtype,
    dtype_name,
    floating,
    is_jax,
    library,
    namespace,
)
from densekit.ops._keras_tensor import KerasTensor, standardize_shape
from densekit.ops._operation import operation
from densekit.ops._row_draws import values_of_rows


def refuse_sparse(where: str, sparse: object) -> bool:
    """False, or ValueError: arrays are dense here."""
    if sparse:
        raise ValueError(message(where, "`sparse=False`", describe(sparse), "Leave it out."))
    return False


@operation("core", views=True)
def convert_to_tensor(
    x: TensorLike, dtype: DTypeLike = None, sparse: bool | None = None, ragged: bool | None = None
) -> TensorLike:
    """`x` as an array of `dtype`, by default of its own; lists of floats become `floatx`."""
    return x if dtype is None else astype(x, standardize_dtype(dtype))


@operation("numpy")
def array(x: TensorLike, dtype: DTypeLike = None) -> TensorLike:
    """A new array with the elements of `x`."""
    x = x if dtype is None else astype(x, standardize_dtype(dtype))
    return namespace(x).array(x)


@operation("numpy")
def copy(x: TensorLike) -> TensorLike:
    """A new array with the elements of `x`."""
    return namespace(x).array(x)


@operation("core", views=True)
def cast(x: TensorLike, dtype: DTypeLike) -> TensorLike:
    """`x` in another type."""
    return astype(x, standardize_dtype(dtype))


@operation("core", views=True)
def saturate_cast(x: TensorLike, dtype: DTypeLike) -> TensorLike:
    """`x` in another type, with values out of its range brought to its ends."""
    name = standardize_dtype(dtype)
    kind = to_numpy_dtype(name)
    if kind.kind in "iu" and x.dtype.kind in "iufV":
        limits = np.iinfo(kind)
        x = namespace(x).clip(x, limits.min, limits.max)
    return astype(x, name)


@export("keras.ops")
def convert_to_numpy(x: ArrayLike) -> Array:
    """`x` as a NumPy array of the caller's own."""
    return np.array(unboxed(as_array(x) if isinstance(x, list | tuple | Variable) else x))


@export("keras.ops")
def is_tensor(x: object) -> bool:
    """Whether `x` is an array, traced or symbolic tensor; lists, numbers and variables are not."""
    return isinstance(x, np.ndarray | np.generic | KerasTensor) or library(type(x)) is not None


@export("keras.ops")
def shape(x: object) -> tuple[int | None, ...]:
    """Shape as a tuple; None for unknown sizes of a symbolic tensor."""
    return tuple(x.shape) if hasattr(x, "shape") else tuple(np.shape(as_array(x)))


@export("keras.ops")
def dtype(x: object) -> str:
    """Name of the element type."""
    return dtype_name(x)


@operation("numpy")
def size(x: TensorLike) -> int:
    """Number of elements."""
    return int(np.prod(x.shape, dtype=np.int64))


@operation("numpy")
def ndim(x: TensorLike) -> int:
    """Number of axes."""
    return len(x.shape)


@operation("core", views=True)
def stop_gradient(variable: TensorLike) -> TensorLike:
    """`variable` as a constant: gradients do not flow through it."""
    xp = namespace(variable)
    if xp is np:
        return variable
    if is_jax(xp):
        constant: TensorLike = sys.modules["jax"].lax.stop_gradient(variable)
        return constant
    inside: Any = variable
    while library(type(inside)) is not None:
        inside = inside._value
    constant = lend(inside)
    return constant


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
    """Zeros."""
    if _is_open(shape):
        return rows_of(0.0, shape, dtype)
    return as_tensor(np.zeros(shape, to_numpy_dtype(dtype)))


@export("keras.ops")
def ones(shape: int | Sequence[int], dtype: DTypeLike = None) -> TensorLike:
    """Ones."""
    if _is_open(shape):
        return rows_of(1.0, shape, dtype)
    return as_tensor(np.ones(shape, to_numpy_dtype(dtype)))


@export("keras.ops")
def empty(shape: int | Sequence[int], dtype: DTypeLike = None) -> TensorLike:
    """An array whose elements are not set."""
    return as_tensor(np.empty(shape, to_numpy_dtype(dtype)))


@operation("numpy", tensors=0, arguments=("fill_value",))
def full(shape: int | Sequence[int], fill_value: ArrayLike, dtype: DTypeLike = None) -> TensorLike:
    """Copies of one value."""
    value = astype(as_array(fill_value), standardize_dtype(dtype))
    return namespace(value).array(namespace(value).broadcast_to(value, shape))


def _like(x: TensorLike, value: ArrayLike, dtype: DTypeLike) -> TensorLike:
    xp = namespace(x, value)
    kind = to_numpy_dtype(dtype_name(x) if dtype is None else dtype)
    return xp.full(tuple(x.shape), value, kind)


@operation("numpy")
def zeros_like(x: TensorLike, dtype: DTypeLike = None) -> TensorLike:
    """Zeros in the shape of `x`."""
    return _like(x, 0, dtype)


@operation("numpy")
def ones_like(x: TensorLike, dtype: DTypeLike = None) -> TensorLike:
    """Ones in the shape of `x`."""
    return _like(x, 1, dtype)


@operation("numpy")
def empty_like(x: TensorLike, dtype: DTypeLike = None) -> TensorLike:
    """An array in the shape of `x`; what is in it is not promised."""
    return _like(x, 0, dtype)


@operation("numpy", tensors=2)
def full_like(x: ArrayLike, fill_value: ArrayLike, dtype: DTypeLike = None) -> TensorLike:
    """Copies of one value in the shape of `x`."""
    return _like(as_array(x), as_array(fill_value) if fill_value is None else fill_value, dtype)


@export("keras.ops")
def eye(N: int, M: int | None = None, k: int = 0, dtype: DTypeLike = None) -> TensorLike:
    """Ones on the k-th diagonal of an (N, M) matrix of zeros."""
    matrix: Array = np.eye(N, M, k, to_numpy_dtype(dtype))
    return as_tensor(matrix)


@export("keras.ops")
def identity(n: int, dtype: DTypeLike = None) -> TensorLike:
    """The (n, n) matrix with ones on the diagonal."""
    matrix: Array = np.eye(n, dtype=to_numpy_dtype(dtype))
    return as_tensor(matrix)


@export("keras.ops")
def tri(N: int, M: int | None = None, k: int = 0, dtype: DTypeLike = None) -> TensorLike:
    """Ones on and below the k-th diagonal."""
    matrix: Array = np.tri(N, M, k, to_numpy_dtype(dtype))
    return as_tensor(matrix)


@operation("numpy", tensors=0, arguments=("start", "stop", "step"))
def arange(
    start: Any,
    stop: float | None = None,
    step: float | None = None,
    dtype: DTypeLike = None,
) -> TensorLike:
    """Numbers from `start` (0 if `stop` is not given) in steps of `step` up to before `stop`."""
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
    """`num` numbers at equal distances from `start` to `stop`, left out if not `endpoint`."""
    start, stop = floating(as_array(start)), floating(as_array(stop))
    kind = to_numpy_dtype(dtype if dtype is not None else np.result_type(start, stop).name)
    xp = namespace(start, stop)
    if xp is np or is_jax(xp):
        line = xp.linspace(start, stop, num, endpoint, retstep, kind, axis)
        return (line[0], line[1].astype(kind)) if retstep else line  # type: ignore[return-value]
    step = (stop - start) / max(num - 1 if endpoint else num, 1)
    line = xp.moveaxis(start[..., None] + step[..., None] * np.arange(num, dtype=kind), -1, axis)
    return (line, step) if retstep else line  # type: ignore[return-value]
