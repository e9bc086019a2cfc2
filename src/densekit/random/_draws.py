"""Draws from the usual distributions.

An integer seed gives the same array each time, a `SeedGenerator` a new one each time; None draws a
seed. Values are drawn in float64 by NumPy on a Philox stream and rounded once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from densekit._core.dtypes import standardize_dtype, to_numpy_dtype
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.seeds import seed_pair
from densekit._core.tensor import as_tensor
from densekit.ops._dispatch import as_array

Array = npt.NDArray[Any]
_MASK = (1 << 64) - 1


def _generator(seed: Any) -> np.random.Generator:
    key, counter = seed_pair(seed)
    return np.random.Generator(np.random.Philox(key=[key & _MASK, counter & _MASK]))


def _draw(seed: Any, dtype: Any, distribution: Callable[[np.random.Generator], Any]) -> Array:
    drawn: Array = as_tensor(
        np.asarray(distribution(_generator(seed))).astype(to_numpy_dtype(dtype))
    )
    return drawn


@export("keras.random")
def normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> Array:
    """Normal values."""
    return _draw(seed, dtype, lambda g: mean + stddev * g.standard_normal(tuple(shape)))


@export("keras.random")
def truncated_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> Array:
    """Normal values within two standard deviations: those beyond are drawn again."""

    def distribution(g: np.random.Generator) -> Any:
        values = np.asarray(g.standard_normal(tuple(shape)))
        flat = values.reshape(-1)
        outside = np.flatnonzero(np.abs(flat) > 2)
        while outside.size:
            flat[outside] = g.standard_normal(outside.size)
            outside = outside[np.abs(flat[outside]) > 2]
        return mean + stddev * values

    return _draw(seed, dtype, distribution)


@export("keras.random")
def uniform(
    shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None
) -> Array:
    """Uniform values in ``[minval, maxval)``; whole numbers for an integer `dtype`."""
    if not standardize_dtype(dtype).startswith(("float", "bf")):
        return randint(shape, int(minval), int(maxval), dtype, seed)
    values = _draw(seed, dtype, lambda g: minval + (maxval - minval) * g.random(tuple(shape)))
    # Rounding to a narrow type may reach `maxval`, which is excluded.
    limit = np.nextafter(values.dtype.type(maxval), values.dtype.type(minval))
    return np.asarray(np.minimum(values, limit))


@export("keras.random")
def randint(shape: Any, minval: int, maxval: int, dtype: Any = "int32", seed: Any = None) -> Array:
    """Whole numbers in ``[minval, maxval)``."""
    if standardize_dtype(dtype).startswith(("float", "bf", "bool")):
        raise ValueError(
            message("randint", "an integer dtype", describe(dtype), "Pass e.g. dtype='int32'.")
        )
    return _draw(seed, dtype, lambda g: g.integers(minval, maxval, tuple(shape)))


@export("keras.random")
def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Any:
    """The slices along `axis` in random order."""
    x = as_array(x)
    order = _generator(seed).permutation(x.shape[axis])
    return as_tensor(x[(slice(None),) * (axis % x.ndim) + (order,)])


@export("keras.random")
def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Array:
    """Class indices ``(batch, num_samples)``, drawn with probabilities ``softmax(logits)``."""
    logits = np.asarray(as_array(logits), np.float64)
    if logits.ndim != 2:
        raise ValueError(
            message("categorical", "logits of shape (batch, classes)", describe(logits), "Reshape.")
        )
    shape = (logits.shape[0], num_samples, logits.shape[1])
    return _draw(
        seed, dtype, lambda g: np.argmax(logits[:, None, :] + g.gumbel(size=shape), axis=-1)
    )


@export("keras.random")
def binomial(
    shape: Any, counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None
) -> Array:
    """Numbers of successes in `counts` trials."""
    n, p = np.asarray(as_array(counts)), np.asarray(as_array(probabilities))
    return _draw(seed, dtype, lambda g: g.binomial(n.astype(np.int64), p, tuple(shape)))


@export("keras.random")
def beta(shape: Any, alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> Array:
    """Values in (0, 1) with density proportional to ``x**(alpha-1) * (1-x)**(beta-1)``."""
    a, b = np.asarray(as_array(alpha)), np.asarray(as_array(beta))
    return _draw(seed, dtype, lambda g: g.beta(a, b, tuple(shape)))


@export("keras.random")
def gamma(shape: Any, alpha: Any, dtype: Any = None, seed: Any = None) -> Array:
    """Positive values with density proportional to ``x**(alpha-1) * exp(-x)``."""
    a = np.asarray(as_array(alpha))
    return _draw(seed, dtype, lambda g: g.standard_gamma(a, tuple(shape)))
