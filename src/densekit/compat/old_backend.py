"""`keras.backend` as Keras 2 had it: what scripts call ``K.mean``, ``K.square`` or ``K.update``.

Names that do what one of `ops` does are in a table; functions follow whose arguments or meaning are
others. `install` lets `keras.backend` have them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np

from densekit import ops, random
from densekit._core import settings
from densekit._core.name_scope import name_scope as name_scope
from densekit._core.seeds import Seed
from densekit._core.types import Array, ArrayLike, DTypeLike, TensorLike
from densekit._core.variable import Variable
from densekit.compat._old_formulas import all as all
from densekit.compat._old_formulas import any as any
from densekit.compat._old_formulas import argmax as argmax
from densekit.compat._old_formulas import argmin as argmin
from densekit.compat._old_formulas import batch_dot as batch_dot
from densekit.compat._old_formulas import batch_normalization as batch_normalization
from densekit.compat._old_formulas import bias_add as bias_add
from densekit.compat._old_formulas import cumprod as cumprod
from densekit.compat._old_formulas import cumsum as cumsum
from densekit.compat._old_formulas import elu as elu
from densekit.compat._old_formulas import hard_sigmoid as hard_sigmoid
from densekit.compat._old_formulas import l2_normalize as l2_normalize
from densekit.compat._old_formulas import mean as mean
from densekit.compat._old_formulas import relu as relu
from densekit.compat._old_formulas import sqrt as sqrt
from densekit.compat._old_formulas import std as std
from densekit.compat._old_formulas import switch as switch
from densekit.compat._old_formulas import var as var
from densekit.compat.tensorflow import shape as shape
from densekit.compat.tensorflow._names import lookup
from densekit.compat.tensorflow.random import _sizes
from densekit.models import Function

_OF_TWO = "maximum minimum equal not_equal greater greater_equal less less_equal"
_REDUCTIONS = "sum prod max min logsumexp"
_OTHERS = "arange cast softmax stack zeros_like dot stop_gradient"
_OF_ONE = "abs square exp log sign sin cos round sigmoid tanh softplus softsign transpose ones_like"

__getattr__ = lookup(
    "keras.backend",
    {name: (name, {"x": "x1", "y": "x2"}) for name in _OF_TWO.split()}
    | {name: (name, {}) for name in (*_OF_ONE.split(), *_REDUCTIONS.split())}
    | {name: (name, {}) for name in _OTHERS.split()}
    | {
        "pow": ("power", {"x": "x1", "a": "x2"}),
        "clip": ("clip", {"min_value": "x_min", "max_value": "x_max"}),
        "reshape": ("reshape", {"shape": "newshape"}),
        "permute_dimensions": ("transpose", {"pattern": "axes"}),
        "squeeze": ("squeeze", {}),
        "tile": ("tile", {"n": "repeats"}),
        "repeat_elements": ("repeat", {"rep": "repeats"}),
        "reverse": ("flip", {"axes": "axis"}),
        "in_top_k": ("in_top_k", {"predictions": "predictions", "targets": "targets"}),
        "categorical_crossentropy": ("categorical_crossentropy", {}),
        "binary_crossentropy": ("binary_crossentropy", {}),
        "sparse_categorical_crossentropy": ("sparse_categorical_crossentropy", {}),
    },
)


class Structured(Protocol):
    """What has a shape and a dtype: an array, a variable, a symbolic tensor."""

    @property
    def shape(self) -> tuple[int | None, ...]: ...

    @property
    def dtype(self) -> object: ...


# What a tensor is


def int_shape(x: Structured) -> tuple[int | None, ...]:
    """The sizes of the axes, None where unknown."""
    return tuple(x.shape)


def ndim(x: Structured) -> int:
    """The number of axes."""
    return len(x.shape)


def dtype(x: Structured) -> str:
    """The name of the type of the elements."""
    return str(x.dtype)


def count_params(x: Structured) -> int:
    """The number of elements."""
    return int(np.prod([n or 0 for n in x.shape]))


def is_sparse(tensor: object) -> bool:
    """False: arrays are dense."""
    return False


def to_dense(tensor: TensorLike) -> TensorLike:
    """The tensor itself."""
    return tensor


# Values and variables


def variable(
    value: ArrayLike, dtype: DTypeLike = None, name: str | None = None, constraint: object = None
) -> Variable:
    """A variable of `floatx`, unless `dtype` says otherwise."""
    made = Variable(np.asarray(value), dtype=dtype or settings.floatx(), name=name)
    made.constraint = constraint if callable(constraint) else None
    return made


def constant(
    value: ArrayLike,
    dtype: DTypeLike = None,
    shape: Sequence[int] | None = None,
    name: str | None = None,
) -> TensorLike:
    """An array of `floatx`, unless `dtype` says otherwise."""
    array = ops.convert_to_tensor(value, dtype or settings.floatx())
    return array if shape is None else ops.broadcast_to(array, tuple(shape))


def zeros(shape: Sequence[int], dtype: DTypeLike = None, name: str | None = None) -> Variable:
    """A variable of zeros."""
    return variable(np.zeros(shape), dtype, name)


def ones(shape: Sequence[int], dtype: DTypeLike = None, name: str | None = None) -> Variable:
    """A variable of ones."""
    return variable(np.ones(shape), dtype, name)


def eye(size: int, dtype: DTypeLike = None, name: str | None = None) -> Variable:
    """A variable that holds the unit matrix."""
    return variable(np.eye(size), dtype, name)


def eval(x: ArrayLike) -> Array:
    """`x` as an array of NumPy."""
    return ops.convert_to_numpy(x)


def get_value(x: ArrayLike) -> ArrayLike:
    """The value of a variable or tensor, a number as it is."""
    return x if isinstance(x, int | float) else ops.convert_to_numpy(x)


def set_value(x: Variable, value: ArrayLike) -> None:
    """Assign to a variable."""
    x.assign(np.asarray(value))


def batch_get_value(tensors: Iterable[ArrayLike]) -> list[ArrayLike]:
    """The values of several variables."""
    return [get_value(x) for x in tensors]


def batch_set_value(tuples: Iterable[tuple[Variable, ArrayLike]]) -> None:
    """Assign to several variables."""
    for x, value in tuples:
        set_value(x, value)


def update(x: Variable, new_x: ArrayLike) -> object:
    """``x.assign(new_x)``."""
    return x.assign(new_x)


def update_add(x: Variable, increment: ArrayLike) -> object:
    """``x.assign_add(increment)``."""
    return x.assign_add(increment)


def update_sub(x: Variable, decrement: ArrayLike) -> object:
    """``x.assign_sub(decrement)``."""
    return x.assign_sub(decrement)


def moving_average_update(x: Variable, value: ArrayLike, momentum: float) -> object:
    """Move `x` towards `value` by ``1 - momentum`` of the way."""
    return x.assign(ops.add(ops.multiply(x, momentum), ops.multiply(value, 1 - momentum)))


def function(
    inputs: object, outputs: object, updates: object = None, name: str | None = None
) -> Callable[[object], object]:
    """What computes symbolic `outputs` from values of symbolic `inputs`."""
    return Function(inputs, outputs, name=name)


# Random numbers


def random_normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: DTypeLike = None,
    seed: Seed = None,
) -> TensorLike:
    """Numbers of a normal distribution."""
    return random.normal(_sizes(shape), mean, stddev, dtype, seed)


def random_uniform(
    shape: Sequence[int],
    minval: float = 0.0,
    maxval: float = 1.0,
    dtype: DTypeLike = None,
    seed: Seed = None,
) -> TensorLike:
    """Numbers from `minval` to below `maxval`."""
    return random.uniform(_sizes(shape), minval, maxval, dtype, seed)


def truncated_normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: DTypeLike = None,
    seed: Seed = None,
) -> TensorLike:
    """Numbers of a normal distribution, none farther than two standard deviations."""
    return random.truncated_normal(_sizes(shape), mean, stddev, dtype, seed)


def random_bernoulli(
    shape: Sequence[int], p: float = 0.0, dtype: DTypeLike = None, seed: Seed = None
) -> TensorLike:
    """Ones with probability `p`, zeros else."""
    drawn = random.uniform(_sizes(shape), seed=seed)
    return ops.cast(ops.less(drawn, p), dtype or settings.floatx())


def random_normal_variable(
    shape: Sequence[int],
    mean: float,
    scale: float,
    dtype: DTypeLike = None,
    name: str | None = None,
    seed: Seed = None,
) -> Variable:
    """A variable that begins with numbers of a normal distribution."""
    return variable(random_normal(shape, mean, scale, dtype, seed), dtype, name)


def random_uniform_variable(
    shape: Sequence[int],
    low: float,
    high: float,
    dtype: DTypeLike = None,
    name: str | None = None,
    seed: Seed = None,
) -> Variable:
    """A variable that begins with numbers from `low` to below `high`."""
    return variable(random_uniform(shape, low, high, dtype, seed), dtype, name)


def dropout(
    x: ArrayLike,
    level: float,
    noise_shape: Sequence[int | None] | None = None,
    seed: Seed = None,
) -> TensorLike:
    """Zeros at random, the rest divided by ``1 - level``."""
    return random.dropout(x, level, noise_shape, seed)


# Shapes


def expand_dims(x: ArrayLike, axis: int = -1) -> TensorLike:
    """An axis of size 1 more, the last by default."""
    return ops.expand_dims(x, axis)


def concatenate(tensors: Sequence[ArrayLike], axis: int = -1) -> TensorLike:
    """`ops.concatenate`, along the last axis by default."""
    return ops.concatenate(tensors, axis)


def flatten(x: ArrayLike) -> TensorLike:
    """All elements in one axis."""
    return ops.reshape(x, (-1,))


def batch_flatten(x: TensorLike) -> TensorLike:
    """All axes but the first in one."""
    return ops.reshape(x, (-1, int(np.prod([n or 1 for n in x.shape[1:]]))))


def repeat(x: ArrayLike, n: int) -> TensorLike:
    """Rows ``(batch, k)`` n times each: ``(batch, n, k)``."""
    return ops.repeat(ops.expand_dims(x, 1), n, axis=1)


def gather(reference: ArrayLike, indices: ArrayLike) -> TensorLike:
    """The rows that `indices` name."""
    return ops.take(reference, indices, axis=0)


def one_hot(indices: ArrayLike, num_classes: int) -> TensorLike:
    """1 at each index, 0 else."""
    return ops.one_hot(indices, num_classes)


def cast_to_floatx(x: ArrayLike) -> TensorLike:
    """`x` with elements of `floatx`."""
    return ops.cast(x, settings.floatx())


# Loops


def map_fn(
    fn: Callable[[TensorLike], TensorLike],
    elems: ArrayLike,
    name: str | None = None,
    dtype: object = None,
) -> TensorLike:
    """What `fn` gives for each row, stacked."""
    return ops.stack([fn(row) for row in ops.unstack(elems)])


def foldl(
    fn: Callable[[TensorLike, TensorLike], TensorLike],
    elems: ArrayLike,
    initializer: TensorLike | None = None,
    name: str | None = None,
) -> TensorLike:
    """``fn(fn(initializer, row), next_row)`` and so on; `initializer` is else the first row."""
    rows = list(ops.unstack(elems))
    total = rows.pop(0) if initializer is None else initializer
    for row in rows:
        total = fn(total, row)
    return total


def foldr(
    fn: Callable[[TensorLike, TensorLike], TensorLike],
    elems: ArrayLike,
    initializer: TensorLike | None = None,
    name: str | None = None,
) -> TensorLike:
    """`foldl` from the last row to the first."""
    return foldl(fn, ops.flip(elems, 0), initializer, name)
