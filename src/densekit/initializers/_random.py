"""Initializers that draw every element from one distribution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from densekit._core.dtypes import to_numpy_dtype
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.seeds import SeedGenerator, make_default_seed
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Config, DTypeLike, TensorLike
from densekit.initializers import _draws
from densekit.initializers._base import Initializer


class RandomInitializer(Initializer):
    """Holds the seed: an integer gives the same values at every call, a `SeedGenerator` moves on.

    With ``seed=None`` an integer is drawn once, here, and the config keeps None.
    """

    def __init__(self, seed: object = None) -> None:
        self._init_seed = seed
        if seed is None:
            seed = make_default_seed()
        elif isinstance(seed, dict):
            seed = deserialize_keras_object(seed)
        if isinstance(seed, np.integer):
            seed = self._init_seed = int(seed)
        if not isinstance(seed, int | SeedGenerator):
            raise ValueError(
                message(
                    type(self).__name__,
                    "`seed` to be an integer or a `keras.random.SeedGenerator`",
                    describe(seed),
                    "Pass e.g. seed=42.",
                )
            )
        self.seed = seed

    def get_config(self) -> Config:
        """``{"seed": ...}``."""
        return {"seed": serialize_keras_object(self._init_seed)}


@export("keras.initializers", "random_normal", "normal")
class RandomNormal(RandomInitializer):
    """Normal values.

    Formula: ``w ~ N(mean, stddev**2)``.

    Args:
        mean: mean of the distribution. Default: ``0.0``.
        stddev: its standard deviation. Default: ``0.05``.
        seed: integer, `SeedGenerator`, or None to draw a seed once. Default: ``None``.

    Raises:
        ValueError: if `seed` is something else.

    Example:

    >>> import densekit as keras
    >>> keras.initializers.RandomNormal(seed=1)((2, 3)).shape
    (2, 3)
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: object = None) -> None:
        self.mean = mean
        self.stddev = stddev
        super().__init__(seed=seed)

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = None) -> TensorLike:
        """An array of `shape`; `dtype` None means `floatx`."""
        return _draws.normal(self.seed, shape, dtype, self.mean, self.stddev)

    def get_config(self) -> Config:
        """``{"seed": ..., "mean": ..., "stddev": ...}``."""
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


@export("keras.initializers", "truncated_normal")
class TruncatedNormal(RandomInitializer):
    """Normal values; those beyond two standard deviations are drawn again.

    Formula: ``w ~ N(mean, stddev**2) given abs(w - mean) <= 2 * stddev``; the standard deviation of
    the result is ``0.8796 * stddev``.

    Args:
        mean: mean of the distribution. Default: ``0.0``.
        stddev: its standard deviation before the cut. Default: ``0.05``.
        seed: integer, `SeedGenerator`, or None to draw a seed once. Default: ``None``.

    Raises:
        ValueError: if `seed` is something else.

    Example:

    >>> import densekit as keras
    >>> bool(abs(keras.initializers.TruncatedNormal(stddev=1.0, seed=1)((1000,))).max() <= 2)
    True
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: object = None) -> None:
        self.mean = mean
        self.stddev = stddev
        super().__init__(seed=seed)

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = None) -> TensorLike:
        """An array of `shape`; `dtype` None means `floatx`."""
        return _draws.truncated_normal(self.seed, shape, dtype, self.mean, self.stddev)

    def get_config(self) -> Config:
        """``{"seed": ..., "mean": ..., "stddev": ...}``."""
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


@export("keras.initializers", "random_uniform", "uniform")
class RandomUniform(RandomInitializer):
    """Uniform values.

    Formula: ``w ~ U[minval, maxval)``.

    Args:
        minval: lower bound. Default: ``-0.05``.
        maxval: upper bound. Default: ``0.05``.
        seed: integer, `SeedGenerator`, or None to draw a seed once. Default: ``None``.

    Raises:
        ValueError: if `seed` is something else.

    Example:

    >>> import densekit as keras
    >>> keras.initializers.RandomUniform(seed=1)((2, 3)).shape
    (2, 3)
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: object = None) -> None:
        self.minval = minval
        self.maxval = maxval
        super().__init__(seed=seed)

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = None) -> TensorLike:
        """An array of `shape`; `dtype` None means `floatx`."""
        return _draws.uniform(self.seed, shape, dtype, self.minval, self.maxval)

    def get_config(self) -> Config:
        """``{"seed": ..., "minval": ..., "maxval": ...}``."""
        return {**super().get_config(), "minval": self.minval, "maxval": self.maxval}


@export("keras.initializers", "orthogonal", "OrthogonalInitializer")
class Orthogonal(RandomInitializer):
    """A random matrix with orthonormal columns (rows, where it is wider than high).

    Formula: ``w = gain * Q`` from ``Q R = A``, ``A`` normal, the signs chosen so that ``R`` has a
    positive diagonal: uniform over the orthogonal matrices. Axes before the last count as one.

    Args:
        gain: factor. Default: ``1.0``.
        seed: integer, `SeedGenerator`, or None to draw a seed once. Default: ``None``.

    Raises:
        ValueError: if the shape asked for has rank below 2, or for an illegal `seed`.

    Example:

    >>> import densekit as keras
    >>> w = keras.initializers.Orthogonal(seed=1)((3, 3))
    >>> (w.T @ w).round(3).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    True

    Reference: Saxe, McClelland and Ganguli, arXiv:1312.6120; the signs: Mezzadri,
    arXiv:math-ph/0609050, section 5.
    """

    def __init__(self, gain: float = 1.0, seed: object = None) -> None:
        self.gain = gain
        super().__init__(seed=seed)

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = None) -> TensorLike:
        """An array of `shape`; `dtype` None means `floatx`."""
        shape = tuple(shape)
        if len(shape) < 2:
            raise ValueError(
                message(
                    "Orthogonal", "a shape of rank 2 or more", f"{shape}", "Use it for kernels."
                )
            )
        rows, columns = int(np.prod(shape[:-1])), shape[-1]
        tall = (max(rows, columns), min(rows, columns))
        q, r = np.linalg.qr(_draws.normal(self.seed, tall, "float64", 0.0, 1.0))
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
        matrix = q.T if rows < columns else q
        return (self.gain * matrix).reshape(shape).astype(to_numpy_dtype(dtype))

    def get_config(self) -> Config:
        """``{"seed": ..., "gain": ...}``."""
        return {**super().get_config(), "gain": self.gain}
