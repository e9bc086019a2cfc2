"""Random draws of initializers: NumPy's generators on the Philox counter-based bit stream.

Everything is drawn in float64 and rounded once, so that a float32 and a float64 model with the same
seed start from the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from densekit._core.dtypes import to_numpy_dtype
from densekit._core.seeds import Seed, seed_pair
from densekit._core.types import Array, DTypeLike

_MASK = (1 << 64) - 1


def generator(seed: object) -> np.random.Generator:
    """The generator of an integer seed, or of the next draw of a `SeedGenerator`."""
    key, counter = seed_pair(seed)
    words = np.array([key & _MASK, counter & _MASK], np.uint64)
    return np.random.Generator(np.random.Philox(key=words))


def _draw(
    seed: Seed,
    shape: Sequence[int],
    dtype: DTypeLike,
    distribution: Callable[[np.random.Generator, Any], Any],
) -> Array:
    values = np.asarray(distribution(generator(seed), tuple(shape)))
    return values.astype(to_numpy_dtype(dtype))


def normal(seed: Seed, shape: Sequence[int], dtype: DTypeLike, mean: float, stddev: float) -> Array:
    """Normal values."""
    return _draw(seed, shape, dtype, lambda g, n: mean + stddev * g.standard_normal(n))


def uniform(seed: Seed, shape: Sequence[int], dtype: DTypeLike, low: float, high: float) -> Array:
    """Uniform values in [low, high)."""
    return _draw(seed, shape, dtype, lambda g, n: low + (high - low) * g.random(n))


def truncated_normal(
    seed: Seed, shape: Sequence[int], dtype: DTypeLike, mean: float, stddev: float
) -> Array:
    """Normal values; those beyond two standard deviations are drawn again."""
    return _draw(seed, shape, dtype, lambda g, n: mean + stddev * _within_two(g, n))


def _within_two(g: np.random.Generator, shape: Sequence[int]) -> Array:
    values = np.asarray(g.standard_normal(shape))
    flat = values.reshape(-1)
    outside = np.flatnonzero(np.abs(flat) > 2)
    while outside.size:
        flat[outside] = g.standard_normal(outside.size)
        outside = outside[np.abs(flat[outside]) > 2]
    return flat.reshape(values.shape)
