"""`tf.random`: draws by the generators of densekit; the numbers are not TensorFlow's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import densekit as keras
from densekit._core.seeds import Seed
from densekit._core.types import ArrayLike, DTypeLike, TensorLike
from densekit.compat.tensorflow._names import lookup


def set_seed(seed: int) -> None:
    """Seed what draws: ``keras.utils.set_random_seed``."""
    keras.utils.set_random_seed(seed)


def _sizes(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape whose sizes may be tensors."""
    return tuple(int(n) for n in shape)


def normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: DTypeLike = "float32",
    seed: Seed = None,
    name: str | None = None,
) -> TensorLike:
    """Numbers of a normal distribution."""
    return keras.random.normal(_sizes(shape), mean, stddev, dtype, seed)


def truncated_normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: DTypeLike = "float32",
    seed: Seed = None,
    name: str | None = None,
) -> TensorLike:
    """Numbers of a normal distribution, none farther than two standard deviations."""
    return keras.random.truncated_normal(_sizes(shape), mean, stddev, dtype, seed)


def uniform(
    shape: Sequence[int],
    minval: Any = 0,
    maxval: Any = None,
    dtype: DTypeLike = "float32",
    seed: Seed = None,
    name: str | None = None,
) -> TensorLike:
    """Numbers from `minval` to below `maxval`, 1 for floats by default."""
    if "int" in str(dtype):
        return keras.random.randint(_sizes(shape), minval, maxval, dtype, seed)
    return keras.random.uniform(_sizes(shape), minval, 1 if maxval is None else maxval, dtype, seed)


def shuffle(value: ArrayLike, seed: Seed = None, name: str | None = None) -> TensorLike:
    """The rows of `value` in another order."""
    return keras.random.shuffle(value, seed=seed)


def categorical(
    logits: ArrayLike,
    num_samples: int,
    dtype: DTypeLike = "int64",
    seed: Seed = None,
    name: str | None = None,
) -> TensorLike:
    """Classes drawn by their logits."""
    return keras.random.categorical(logits, num_samples, dtype, seed)


__getattr__ = lookup("tf.random", {})
