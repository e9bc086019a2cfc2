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
from densekit._core.types import ArrayLike, DTypeLike
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
    initial_value: object,
    trainable: Any = True,
    validate_shape: object = True,
    caching_device: object = None,
    name: str | None = None,
    variable_def: object = None,
    dtype: Any = None,
    **options: object,
) -> KerasVariable:
    """A `keras.Variable` that begins with `initial_value`."""
    value = initial_value() if callable(initial_value) else initial_value
    return keras.Variable(constant(value, dtype), trainable=trainable, name=name)


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Any:
    """An array; without `dtype`, Python's numbers are float32 and int32 as in TensorFlow."""
    if dtype is None and not hasattr(value, "dtype"):
        dtype = {"f": "float32", "i": "int32"}.get(np.asarray(value).dtype.kind)
    array = ops.convert_to_tensor(value, dtype)
    return (
        array
        if shape is None
        else ops.broadcast_to(ops.reshape(array, _filled(array, shape)), shape)
    )


def _filled(array: Any, shape: Any) -> Any:
    """`shape`, or ones where one number is to fill it."""
    return (1,) * len(tuple(shape)) if array.size == 1 else shape


def convert_to_tensor(
    value: object, dtype: object = None, dtype_hint: object = None, name: str | None = None
) -> Any:
    """`constant`."""
    return constant(value, dtype)


def cast(x: Any, dtype: Any, name: str | None = None) -> Any:
    """`ops.cast`."""
    return ops.cast(x, dtype)


def shape(input: Any, out_type: Any = None, name: str | None = None) -> Any:
    """The sizes of the axes as an array of int32."""
    sizes = ops.shape(input)
    return np.asarray(sizes, "int32") if None not in sizes else sizes


def size(input: Any, out_type: Any = None, name: str | None = None) -> Any:
    """The number of elements."""
    return ops.size(input)


def argmax(
    input: ArrayLike, axis: int | None = None, output_type: DTypeLike = "int64", name: object = None
) -> Any:
    """`ops.argmax`, over the first axis if none is given."""
    return ops.cast(ops.argmax(input, 0 if axis is None else axis), output_type)


def argmin(
    input: ArrayLike, axis: int | None = None, output_type: DTypeLike = "int64", name: object = None
) -> Any:
    """`ops.argmin`, over the first axis if none is given."""
    return ops.cast(ops.argmin(input, 0 if axis is None else axis), output_type)


def matmul(
    a: ArrayLike,
    b: ArrayLike,
    transpose_a: object = False,
    transpose_b: object = False,
    name: str | None = None,
) -> Any:
    """`ops.matmul`, of matrices that may be transposed first."""
    a = ops.swapaxes(a, -1, -2) if transpose_a else a
    return ops.matmul(a, ops.swapaxes(b, -1, -2) if transpose_b else b)


def concat(values: Sequence[Any], axis: int, name: str | None = None) -> Any:
    """`ops.concatenate`."""
    return ops.concatenate(values, axis)


def add_n(inputs: Sequence[Any], name: str | None = None) -> Any:
    """The sum of arrays of one shape."""
    return functools.reduce(ops.add, inputs)


def gather(
    params: Any,
    indices: Any,
    validate_indices: Any = None,
    axis: int | None = None,
    batch_dims: int = 0,
    name: str | None = None,
) -> Any:
    """`ops.take` along `axis`, the first by default; with `batch_dims`, row by row."""
    if not batch_dims:
        return ops.take(params, indices, 0 if axis is None else axis)
    if batch_dims != 1 or np.ndim(indices) not in (1, 2):
        raise NotImplementedError(absent("tf.gather of more than one batch axis"))
    rows = ops.expand_dims(ops.arange(ops.shape(params)[0]), tuple(range(1, np.ndim(indices))))
    return params[rows, indices]


def one_hot(
    indices: ArrayLike,
    depth: int,
    on_value: float = 1,
    off_value: float = 0,
    axis: int = -1,
    dtype: DTypeLike = "float32",
    name: str | None = None,
) -> Any:
    """`ops.one_hot`, with other values than one and zero if asked."""
    hot = ops.one_hot(indices, depth, axis=axis, dtype=dtype)
    return hot if (on_value, off_value) == (1, 0) else hot * (on_value - off_value) + off_value


def split(
    value: Any, num_or_size_splits: Any, axis: int = 0, num: int | None = None, name: Any = None
) -> Any:
    """`ops.split`: into equal parts, or parts of the sizes given."""
    sizes = num_or_size_splits
    return ops.split(value, sizes if np.ndim(sizes) == 0 else np.cumsum(sizes)[:-1].tolist(), axis)


def range(
    start: float,
    limit: float | None = None,
    delta: float = 1,
    dtype: DTypeLike = None,
    name: str | None = None,
) -> Any:
    """`ops.arange`."""
    return ops.arange(start, limit, delta, dtype=dtype)


def group(*inputs: object, name: str | None = None) -> None:
    """Nothing: what is to happen has happened."""
