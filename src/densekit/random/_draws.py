"""Draws from the usual distributions.

An integer seed gives the same array each time, a `SeedGenerator` a new one each time; None draws a
seed. Values are drawn in float64 by NumPy on a Philox stream and rounded once; normal ones are made
of one word each, as plans make them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from densekit._core.dtypes import standardize_dtype, to_numpy_dtype
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.seeds import Seed, Word, seed_pair
from densekit._core.tensor import as_tensor
from densekit._core.types import Array, ArrayLike, DTypeLike, TensorLike
from densekit.ops._called_back import Result, called_back
from densekit.ops._dispatch import as_array, is_jax, namespace
from densekit.ops._row_draws import values_of_rows
from densekit.random._noise import gaussian
from densekit.random._uniform import traced_uniform

_MASK = (1 << 64) - 1


def _draw(
    seed: Seed | tuple[Word, Word],
    dtype: DTypeLike,
    shape: Sequence[int],
    distribution: Callable[..., Any],
    *parameters: TensorLike,
) -> Array:
    """What ``distribution(generator, *parameters)`` gives, an array of that shape."""
    kind = to_numpy_dtype(dtype)
    pair = seed if isinstance(seed, tuple) else seed_pair(seed)

    def draw(key: Any, counter: Any, *given: Any) -> Array:
        bits = np.random.Philox(key=[int(key) & _MASK, int(counter) & _MASK])
        given = tuple(np.asarray(p) for p in given)
        return np.asarray(distribution(np.random.Generator(bits), *given)).astype(kind)

    if not is_jax(namespace(*pair, *parameters)):
        drawn: Array = as_tensor(draw(*pair, *parameters))
        return drawn
    # Being traced: the same numbers, drawn by NumPy whenever the compiled function runs.
    jax = sys.modules["jax"]
    words = [np.asarray(part, np.uint32) if isinstance(part, int) else part for part in pair]
    fixed = map(jax.lax.stop_gradient, parameters)
    results = [Result(tuple(shape), kind.name)]
    (made,) = called_back(lambda *given: [draw(*given)], results, *words, *fixed)
    return cast("Array", made)


@export("keras.random")
def normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: DTypeLike = None,
    seed: Seed = None,
) -> TensorLike:
    """Normal values, element by element a function of the seed: `random/_noise.py:gaussian`."""
    shape = tuple(shape)
    if None in shape:
        return values_of_rows("normal", shape, (mean, stddev), dtype, seed)  # type: ignore[return-value]
    return as_tensor(gaussian(shape, seed, standardize_dtype(dtype), mean, stddev))


@export("keras.random")
def truncated_normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: DTypeLike = None,
    seed: Seed = None,
) -> Array:
    """Normal values within two standard deviations: those beyond are drawn again."""

    def distribution(g: np.random.Generator) -> Array:
        values = np.asarray(g.standard_normal(tuple(shape)))
        flat = values.reshape(-1)
        outside = np.flatnonzero(np.abs(flat) > 2)
        while outside.size:
            flat[outside] = g.standard_normal(outside.size)
            outside = outside[np.abs(flat[outside]) > 2]
        return mean + stddev * values

    return _draw(seed, dtype, shape, distribution)


@export("keras.random")
def uniform(
    shape: Sequence[int],
    minval: float = 0.0,
    maxval: float = 1.0,
    dtype: DTypeLike = None,
    seed: Seed = None,
) -> Array:
    """Uniform values in ``[minval, maxval)``; whole numbers for an integer `dtype`."""
    if not standardize_dtype(dtype).startswith(("float", "bf")):
        return randint(shape, int(minval), int(maxval), dtype, seed)
    if None in tuple(shape):
        return values_of_rows("uniform", tuple(shape), (minval, maxval), dtype, seed)  # type: ignore[return-value]

    pair = seed_pair(seed)
    if is_jax(namespace(*pair, minval, maxval)):
        kind = standardize_dtype(dtype)
        return cast("Array", traced_uniform(tuple(shape), minval, maxval, kind, *pair))

    def distribution(g: np.random.Generator) -> Array:
        values = minval + (maxval - minval) * g.random(tuple(shape))
        # Rounding to a narrow type may reach `maxval`, which is excluded.
        kind = to_numpy_dtype(dtype).type
        below: Array = np.minimum(values.astype(kind), np.nextafter(kind(maxval), kind(minval)))
        return below

    return _draw(pair, dtype, shape, distribution)


@export("keras.random")
def randint(
    shape: Sequence[int], minval: int, maxval: int, dtype: DTypeLike = "int32", seed: Seed = None
) -> Array:
    """Whole numbers in ``[minval, maxval)``."""
    if standardize_dtype(dtype).startswith(("float", "bf", "bool")):
        raise ValueError(
            message("randint", "an integer dtype", describe(dtype), "Pass e.g. dtype='int32'.")
        )
    return _draw(seed, dtype, shape, lambda g: g.integers(minval, maxval, tuple(shape)))


@export("keras.random")
def shuffle(x: ArrayLike, axis: int = 0, seed: Seed = None) -> TensorLike:
    """The slices along `axis` in random order."""
    x = as_array(x)
    rows = x.shape[axis]
    order = _draw(seed, "int32", (rows,), lambda g: g.permutation(rows))
    return as_tensor(x[(slice(None),) * (axis % x.ndim) + (order,)])


@export("keras.random")
def categorical(
    logits: ArrayLike, num_samples: int, dtype: DTypeLike = "int32", seed: Seed = None
) -> Array:
    """Class indices ``(batch, num_samples)``, drawn with probabilities ``softmax(logits)``."""
    logits = as_array(logits)
    if logits.ndim != 2:
        raise ValueError(
            message("categorical", "logits of shape (batch, classes)", describe(logits), "Reshape.")
        )
    shape = (logits.shape[0], num_samples, logits.shape[1])

    def distribution(g: np.random.Generator, logits: Array) -> Array:
        noisy: Array = logits.astype(np.float64)[:, None, :] + g.gumbel(size=shape)
        classes: Array = np.argmax(noisy, axis=-1)
        return classes

    return _draw(seed, dtype, shape[:2], distribution, logits)


@export("keras.random")
def binomial(
    shape: Sequence[int],
    counts: ArrayLike,
    probabilities: ArrayLike,
    dtype: DTypeLike = None,
    seed: Seed = None,
) -> Array:
    """Numbers of successes in `counts` trials."""

    def distribution(g: np.random.Generator, n: Array, p: Array) -> Array:
        return g.binomial(n.astype(np.int64), p, tuple(shape))

    return _draw(seed, dtype, shape, distribution, as_array(counts), as_array(probabilities))


@export("keras.random")
def beta(
    shape: Sequence[int],
    alpha: ArrayLike,
    beta: ArrayLike,
    dtype: DTypeLike = None,
    seed: Seed = None,
) -> Array:
    """Values in (0, 1) with density proportional to ``x**(alpha-1) * (1-x)**(beta-1)``."""
    given = as_array(alpha), as_array(beta)
    return _draw(seed, dtype, shape, lambda g, a, b: g.beta(a, b, tuple(shape)), *given)


@export("keras.random")
def gamma(
    shape: Sequence[int], alpha: ArrayLike, dtype: DTypeLike = None, seed: Seed = None
) -> Array:
    """Positive values with density proportional to ``x**(alpha-1) * exp(-x)``."""

    def distribution(g: np.random.Generator, alpha: Array) -> Array:
        return g.standard_gamma(alpha, tuple(shape))

    return _draw(seed, dtype, shape, distribution, as_array(alpha))
