"""Arrays from values and back, their types and sizes."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from densekit._core.boxes import unboxed
from densekit._core.dtypes import standardize_dtype, to_numpy_dtype
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.tensor import lend
from densekit._core.types import Array, ArrayLike, DTypeLike, TensorLike
from densekit._core.variable import Variable
from densekit.ops._dispatch import (
    as_array,
    astype,
    dtype_name,
    is_jax,
    library,
    namespace,
)
from densekit.ops._keras_tensor import KerasTensor
from densekit.ops._operation import operation


def refuse_sparse(where: str, sparse: object) -> bool:
    """False, or ValueError: arrays are dense here."""
    if sparse:
        raise ValueError(message(where, "`sparse=False`", describe(sparse), "Leave it out."))
    return False


@operation("core", views=True)
def convert_to_tensor(
    x: TensorLike, dtype: DTypeLike = None, sparse: bool | None = None, ragged: bool | None = None
) -> TensorLike:
    """`x` as an array of `dtype`, by default of its own; lists of floats become `floatx`.

    Example:

    >>> from densekit import ops
    >>> ops.convert_to_tensor([1, 2], dtype="float32").tolist()
    [1.0, 2.0]
    """
    return x if dtype is None else astype(x, standardize_dtype(dtype))


@operation("numpy")
def array(x: TensorLike, dtype: DTypeLike = None) -> TensorLike:
    """A new array with the elements of `x`.

    Example:

    >>> from densekit import ops
    >>> ops.array([1, 2], dtype="float32").tolist()
    [1.0, 2.0]
    """
    x = x if dtype is None else astype(x, standardize_dtype(dtype))
    return namespace(x).array(x)


@operation("numpy")
def copy(x: TensorLike) -> TensorLike:
    """A new array with the elements of `x`.

    Example:

    >>> from densekit import ops
    >>> ops.copy([1, 2]).tolist()
    [1, 2]
    """
    return namespace(x).array(x)


@operation("core", views=True)
def cast(x: TensorLike, dtype: DTypeLike) -> TensorLike:
    """`x` in another type.

    Example:

    >>> from densekit import ops
    >>> ops.cast([1.7, -1.7], "int32").tolist()
    [1, -1]
    """
    return astype(x, standardize_dtype(dtype))


@operation("core", views=True)
def saturate_cast(x: TensorLike, dtype: DTypeLike) -> TensorLike:
    """`x` in another type, with values out of its range brought to its ends.

    Example:

    >>> from densekit import ops
    >>> ops.saturate_cast([-5.0, 300.0], "uint8").tolist()
    [0, 255]
    """
    name = standardize_dtype(dtype)
    kind = to_numpy_dtype(name)
    if kind.kind in "iu" and x.dtype.kind in "iufV":
        limits = np.iinfo(kind)
        x = namespace(x).clip(x, limits.min, limits.max)
    return astype(x, name)


@export("keras.ops")
def convert_to_numpy(x: ArrayLike) -> Array:
    """`x` as a NumPy array of the caller's own.

    Example:

    >>> from densekit import ops
    >>> type(ops.convert_to_numpy([1.0, 2.0])).__name__
    'ndarray'
    """
    return np.array(unboxed(as_array(x) if isinstance(x, list | tuple | Variable) else x))


@export("keras.ops")
def is_tensor(x: object) -> bool:
    """Whether `x` is an array, traced or symbolic tensor; lists, numbers and variables are not.

    Example:

    >>> from densekit import ops
    >>> ops.is_tensor(ops.ones((2,))), ops.is_tensor([1.0])
    (True, False)
    """
    return isinstance(x, np.ndarray | np.generic | KerasTensor) or library(type(x)) is not None


@export("keras.ops")
def shape(x: object) -> tuple[int | None, ...]:
    """Shape as a tuple; None for unknown sizes of a symbolic tensor.

    Example:

    >>> from densekit import ops
    >>> ops.shape([[1, 2, 3]])
    (1, 3)
    """
    return tuple(x.shape) if hasattr(x, "shape") else tuple(np.shape(as_array(x)))


@export("keras.ops")
def dtype(x: object) -> str:
    """Name of the element type.

    Example:

    >>> from densekit import ops
    >>> ops.dtype(ops.ones((2,)))
    'float32'
    """
    return dtype_name(x)


@operation("numpy")
def size(x: TensorLike) -> int:
    """Number of elements.

    Example:

    >>> from densekit import ops
    >>> ops.size([[1, 2, 3]])
    3
    """
    return int(np.prod(x.shape, dtype=np.int64))


@operation("numpy")
def ndim(x: TensorLike) -> int:
    """Number of axes.

    Example:

    >>> from densekit import ops
    >>> ops.ndim([[1, 2]])
    2
    """
    return len(x.shape)


@operation("core", views=True)
def stop_gradient(variable: TensorLike) -> TensorLike:
    """`variable` as a constant: gradients do not flow through it.

    Example:

    >>> import densekit as keras
    >>> from densekit import ops
    >>> w = keras.Variable(3.0)
    >>> with keras.GradientTape() as tape:
    ...     y = w * ops.stop_gradient(w)
    >>> float(tape.gradient(y, w))
    3.0
    """
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
