"""`tf` for scripts: what maps one to one onto densekit; anything else raises a sentence.

Arrays are NumPy's, so are types of elements. `function` compiles nothing: a model inside runs
natively anyhow.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import densekit as keras
from densekit import ops, tree
from densekit._core.boxes import is_box
from densekit._core.tensor import Tensor as _Tensor
from densekit._core.types import ArrayLike, DTypeLike, PartialShape, TensorLike
from densekit.compat.tensorflow import config, dtypes, linalg, math, nn, random, test, version
from densekit.compat.tensorflow._arrays import argsort as argsort
from densekit.compat.tensorflow._arrays import boolean_mask as boolean_mask
from densekit.compat.tensorflow._arrays import clip_by_global_norm as clip_by_global_norm
from densekit.compat.tensorflow._arrays import clip_by_norm as clip_by_norm
from densekit.compat.tensorflow._arrays import gather as gather
from densekit.compat.tensorflow._arrays import gather_nd as gather_nd
from densekit.compat.tensorflow._arrays import one_hot as one_hot
from densekit.compat.tensorflow._arrays import pad as pad
from densekit.compat.tensorflow._arrays import rank as rank
from densekit.compat.tensorflow._arrays import sort as sort
from densekit.compat.tensorflow._arrays import split as split
from densekit.compat.tensorflow._names import (
    BOTH,
    ELEMENTWISE,
    REARRANGING,
    REDUCTIONS,
    absent,
    lookup,
)
from densekit.compat.tensorflow._shapes import TensorShape as TensorShape
from densekit.compat.tensorflow._shapes import TensorSpec as TensorSpec
from densekit.compat.tensorflow.dtypes import DType
from densekit.compat.tensorflow.dtypes import as_dtype as as_dtype
from densekit.compat.tensorflow.linalg import matmul as matmul
from densekit.compat.tensorflow.math import add_n as add_n
from densekit.compat.tensorflow.math import argmax as argmax
from densekit.compat.tensorflow.math import argmin as argmin
from densekit.compat.tensorflow.math import cumsum as cumsum

if TYPE_CHECKING:
    from densekit._core.variable import Variable as KerasVariable

__version__ = version.VERSION
GradientTape = keras.GradientTape
nest = tree
Tensor = np.ndarray

bfloat16, bool, complex64, complex128, float16, float32, float64 = map(
    DType, ("bfloat16", "bool", "complex64", "complex128", "float16", "float32", "float64")
)
int8, int16, int32, int64, string = map(DType, ("int8", "int16", "int32", "int64", "string"))
uint8, uint16, uint32, uint64 = map(DType, ("uint8", "uint16", "uint32", "uint64"))

losses, metrics, optimizers = keras.losses, keras.metrics, keras.optimizers
initializers, name_scope, device = keras.initializers, keras.name_scope, keras.device

newaxis = None

__getattr__ = lookup("tf", BOTH | ELEMENTWISE | REDUCTIONS | REARRANGING)

__all__ = ["config", "dtypes", "keras", "linalg", "math", "nn", "random", "test", "version"]


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
) -> TensorLike | PartialShape:
    """The sizes of the axes as an array of int32."""
    sizes = ops.shape(input)
    return ops.convert_to_tensor(np.asarray(sizes, "int32")) if None not in sizes else sizes


def size(input: ArrayLike, out_type: object = None, name: str | None = None) -> int:
    """The number of elements."""
    return ops.size(input)


def concat(values: Sequence[ArrayLike], axis: int, name: str | None = None) -> TensorLike:
    """`ops.concatenate`."""
    return ops.concatenate(values, axis)


def range(
    start: float,
    limit: float | None = None,
    delta: float = 1,
    dtype: DTypeLike = None,
    name: str | None = None,
) -> TensorLike:
    """`ops.arange`."""
    return ops.arange(start, limit, delta, dtype=dtype)


def where(
    condition: ArrayLike,
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    name: str | None = None,
) -> TensorLike:
    """`ops.where`; of a condition alone the places where it holds, one a row."""
    if x is None or y is None:
        return ops.cast(ops.stack(ops.where(condition), axis=1), "int64")
    return ops.where(condition, x, y)


def fill(dims: Sequence[int], value: ArrayLike, name: str | None = None) -> TensorLike:
    """An array of one number, of its type."""
    return ops.broadcast_to(constant(value), tuple(int(n) for n in dims))


def is_tensor(x: object) -> object:
    """Whether `x` is a tensor, a variable, symbolic or recorded; plain arrays are not."""
    return isinstance(x, _Tensor | keras.Variable | keras.KerasTensor) or is_box(x)


def executing_eagerly() -> object:
    """True: nothing is compiled."""
    return True


def print(*inputs: object, output_stream: object = None, end: str = "\n", **options: str) -> None:
    """Print the values of tensors, to the standard error stream as TensorFlow does."""
    shown = (i if isinstance(i, str) else np.array2string(np.asarray(i)) for i in inputs)
    to_output = output_stream is sys.stdout
    text = options.get("sep", " ").join(shown) + end
    (sys.stdout if to_output else sys.stderr).write(text)


def get_logger() -> logging.Logger:
    """The logger of TensorFlow's name."""
    return logging.getLogger("tensorflow")


def no_op(name: str | None = None) -> None:
    """Nothing."""


def group(*inputs: object, name: str | None = None) -> None:
    """Nothing: what is to happen has happened."""
