"""Initializers without randomness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from densekit._core.dtypes import to_numpy_dtype
from densekit._core.errors import message
from densekit._core.registry import export
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Array, Config, DTypeLike, TensorLike
from densekit.initializers._base import Initializer


@export("keras.initializers", "constant")
class Constant(Initializer):
    """Every element has the same value.

    Formula: ``w = value``.

    Args:
        value: a number, or an array that broadcasts to the shape asked for. Default: ``0.0``.

    Raises:
        ValueError: if an array `value` does not broadcast to the shape asked for.

    Example:

    >>> import densekit as keras
    >>> keras.initializers.Constant(3.0)((2,)).tolist()
    [3.0, 3.0]
    """

    def __init__(self, value: object = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = None) -> TensorLike:
        """An array of `shape`; `dtype` None means `floatx`."""
        value = np.asarray(self.value).astype(to_numpy_dtype(dtype))
        return np.array(np.broadcast_to(value, tuple(shape)))

    def get_config(self) -> Config:
        """``{"value": ...}``."""
        return {"value": serialize_keras_object(self.value)}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Create from `get_config`; a config without a value means 0."""
        return cls(deserialize_keras_object(config.get("value", 0.0)))


@export("keras.initializers", "zeros", "zero")
class Zeros(Initializer):
    """Every element is 0.

    Formula: ``w = 0``.

    Example:

    >>> import densekit as keras
    >>> keras.initializers.Zeros()((2,)).tolist()
    [0.0, 0.0]
    """

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = None) -> TensorLike:
        """An array of `shape`; `dtype` None means `floatx`."""
        return np.zeros(tuple(shape), to_numpy_dtype(dtype))


@export("keras.initializers", "ones", "one")
class Ones(Initializer):
    """Every element is 1.

    Formula: ``w = 1``.

    Example:

    >>> import densekit as keras
    >>> keras.initializers.Ones()((2,)).tolist()
    [1.0, 1.0]
    """

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = None) -> TensorLike:
        """An array of `shape`; `dtype` None means `floatx`."""
        return np.ones(tuple(shape), to_numpy_dtype(dtype))


@export("keras.initializers", "identity", "IdentityInitializer")
class Identity(Initializer):
    """The identity matrix, cut or padded with zeros where the shape is not square.

    Formula: ``w_ij = gain if i == j else 0``.

    Args:
        gain: value on the diagonal. Default: ``1.0``.

    Raises:
        ValueError: if the shape asked for has not rank 2.

    Example:

    >>> import densekit as keras
    >>> keras.initializers.Identity(gain=2.0)((2, 3)).tolist()
    [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = None) -> TensorLike:
        """A matrix of `shape`; `dtype` None means `floatx`."""
        shape = tuple(shape)
        if len(shape) != 2:
            raise ValueError(
                message("Identity", "a shape of rank 2", f"{shape}", "Use it for matrices only.")
            )
        dtype = to_numpy_dtype(dtype)
        matrix: Array = np.eye(*shape, dtype=dtype) * np.asarray(self.gain, dtype)
        return matrix

    def get_config(self) -> Config:
        """``{"gain": ...}``; Keras leaves it out, and so do we where it is 1."""
        return {} if self.gain == 1.0 else {"gain": self.gain}
