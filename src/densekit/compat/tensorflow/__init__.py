"""`tf` for scripts: what maps one to one onto densekit; anything else raises a sentence.

Arrays are NumPy's, so are types of elements. `function` compiles nothing: a model inside runs
natively anyhow.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import densekit as keras
from densekit import ops, tree
from densekit._core.types import Array, ArrayLike, DTypeLike, PartialShape, TensorLike
from densekit.compat.tensorflow import linalg, math, nn, random
from densekit.compat.tensorflow._names import (
    BOTH,
    ELEMENTWISE,
    REARRANGING,
    REDUCTIONS,
    absent,
    lookup,
)
from densekit.compat.tensorflow.math import cumsum as cumsum

if TYPE_CHECKING:
    from densekit._core.variable import Variable as KerasVariable

__version__ = f"2.0.0+densekit.{keras.__version__}"
GradientTape = keras.GradientTape
nest = tree
Tensor = np.ndarray

bfloat16, bool, complex64, complex128, float16, float32, float64 = (
    *("bfloat16", "bool", "complex64", "complex128", "float16", "float32", "float64"),
)
int8, int16, int32, int64, string = "int8", "int16", "int32", "int64", "string"
uint8, uint16, uint32, uint64 = "uint8", "uint16", "uint32", "uint64"

newaxis = None

__getattr__ = lookup("tf", BOTH | ELEMENTWISE | REDUCTIONS | REARRANGING)

__all__ = ["keras", "linalg", "math", "nn", "random"]


def function(func: Callable[..., Any] | None = None, **options: Any) -> Callable[..., Any]:
    """The function itself: nothing is compiled, so Python inside it runs at every call."""
    return func if func is not None else lambda decorated: decorated


def Variable(
    initial_value: Any,
    trainable: Any = True,
    validate_shape: object = True,
    caching_device: object = None,
    name: str | None = None,
    variable_def: object = None,
    dtype: DTypeLike = None,
    **options: object,
) -> KerasVariable:
    """A `keras.Variable` that begins with `initial_value`."""
    value = initial_value() if callable(initial_value) else initial_value
    return keras.Variable(constant(value, dtype), trainable=trainable, name=name)


def constant(
    value: Any,
    dtype: DTypeLike = None,
    shape: Sequence[int] | None = None,
    name: str | None = None,
) -> TensorLike:
    """An array; without `dtype`, Python's numbers are float32 and int32 as in TensorFlow."""
    if dtype is None and not hasattr(value, "dtype"):
        dtype = {"f": "float32", "i": "int32"}.get(np.asarray(value).dtype.kind)
    array = ops.convert_to_tensor(value, dtype)
    return (
        array
        if shape is None
        else ops.broadcast_to(ops.reshape(array, _filled(array, shape)), shape)
    )


def _filled(array: TensorLike, shape: Sequence[int]) -> Sequence[int]:
    """`shape`, or ones where one number is to fill it."""
    return (1,) * len(tuple(shape)) if array.size == 1 else shape


def convert_to_tensor(
    value: ArrayLike, dtype: DTypeLike = None, dtype_hint: object = None, name: str | None = None
) -> TensorLike:
    """`constant`."""
    return constant(value, dtype)


def cast(x: ArrayLike, dtype: DTypeLike, name: str | None = None) -> TensorLike:
    """`ops.cast`."""
    return ops.cast(x, dtype)


def shape(
    input: ArrayLike, out_type: object = None, name: str | None = None
) -> Array | PartialShape:
    """The sizes of the axes as an array of int32."""
    sizes = ops.shape(input)
    return np.asarray(sizes, "int32") if None not in sizes else sizes


def size(input: ArrayLike, out_type: object = None, name: str | None = None) -> int:
    """The number of elements."""
    return ops.size(input)


def argmax(
    input: ArrayLike, axis: int | None = None, output_type: DTypeLike = "int64", name: object = None
) -> TensorLike:
    """`ops.argmax`, over the first axis if none is given."""
    return ops.cast(ops.argmax(input, 0 if axis is None else axis), output_type)


def argmin(
    input: ArrayLike, axis: int | None = None, output_type: DTypeLike = "int64", name: object = None
) -> TensorLike:
    """`ops.argmin`, over the first axis if none is given."""
    return ops.cast(ops.argmin(input, 0 if axis is None else axis), output_type)


def matmul(
    a: ArrayLike,
    b: ArrayLike,
    transpose_a: object = False,
    transpose_b: object = False,
    name: str | None = None,
) -> TensorLike:
    """`ops.matmul`, of matrices that may be transposed first."""
    a = ops.swapaxes(a, -1, -2) if transpose_a else a
    return ops.matmul(a, ops.swapaxes(b, -1, -2) if transpose_b else b)


def concat(values: Sequence[ArrayLike], axis: int, name: str | None = None) -> TensorLike:
    """`ops.concatenate`."""
    return ops.concatenate(values, axis)


def add_n(inputs: Sequence[ArrayLike], name: str | None = None) -> TensorLike:
    """The sum of arrays of one shape."""
    first, *others = inputs
    total: TensorLike = ops.convert_to_tensor(first)
    for other in others:
        total = ops.add(total, other)
    return total


def gather(
    params: Any,
    indices: Any,
    validate_indices: object = None,
    axis: int | None = None,
    batch_dims: int = 0,
    name: str | None = None,
) -> TensorLike:
    """`ops.take` along `axis`, the first by default; with `batch_dims`, row by row."""
    if not batch_dims:
        return ops.take(params, indices, 0 if axis is None else axis)
    if batch_dims != 1 or np.ndim(indices) not in (1, 2):
        raise NotImplementedError(absent("tf.gather of more than one batch axis"))
    rows = ops.expand_dims(
        ops.arange(ops.shape(params)[0]), [int(i) for i in range(1, np.ndim(indices))]
    )
    rows_of: TensorLike = params[rows, indices]
    return rows_of


def one_hot(
    indices: ArrayLike,
    depth: int,
    on_value: float = 1,
    off_value: float = 0,
    axis: int = -1,
    dtype: DTypeLike = "float32",
    name: str | None = None,
) -> TensorLike:
    """`ops.one_hot`, with other values than one and zero if asked."""
    hot = ops.one_hot(indices, depth, axis=axis, dtype=dtype)
    return hot if (on_value, off_value) == (1, 0) else hot * (on_value - off_value) + off_value


def split(
    value: ArrayLike,
    num_or_size_splits: int | Sequence[int],
    axis: int = 0,
    num: int | None = None,
    name: str | None = None,
) -> list[TensorLike]:
    """`ops.split`: into equal parts, or parts of the sizes given."""
    sizes = num_or_size_splits
    return ops.split(value, sizes if np.ndim(sizes) == 0 else np.cumsum(sizes)[:-1].tolist(), axis)


def range(
    start: float,
    limit: float | None = None,
    delta: float = 1,
    dtype: DTypeLike = None,
    name: str | None = None,
) -> TensorLike:
    """`ops.arange`."""
    return ops.arange(start, limit, delta, dtype=dtype)


def group(*inputs: object, name: str | None = None) -> None:
    """Nothing: what is to happen has happened."""
