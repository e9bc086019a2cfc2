"""The base of learning-rate schedules, and how their arithmetic is rounded."""

from __future__ import annotations

from typing import Self, TypeVar

import numpy as np

from densekit import ops
from densekit._core import settings
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit._core.variable import Variable

Number = TypeVar("Number")


@export("keras.optimizers.schedules")
class LearningRateSchedule:
    """A learning rate that depends on how many steps the optimizer has made.

    A subclass defines ``__call__(step)``, and `get_config` if it is to be saved. The built-in ones
    also take an array of steps and return an array of rates.

    Raises:
        NotImplementedError: if a subclass leaves `__call__` or `get_config` out.

    Example:

    >>> import densekit as keras
    >>> class Halving(keras.optimizers.schedules.LearningRateSchedule):
    ...     def __call__(self, step):
    ...         return 0.1 * 0.5**step
    >>> optimizer = keras.optimizers.SGD(learning_rate=Halving())
    >>> round(float(optimizer.learning_rate), 6)
    0.1
    """

    def __call__(self, step: ArrayLike) -> ArrayLike:
        """The learning rate of a step, counted from 0."""
        raise NotImplementedError(
            message(
                type(self).__name__,
                "a method `__call__(self, step)`",
                "none",
                "Define it to return the learning rate.",
            )
        )

    def get_config(self) -> Config:
        """The constructor's arguments."""
        raise NotImplementedError(
            message(
                type(self).__name__,
                "a method `get_config(self)`",
                "none",
                "Define it to return the constructor's arguments.",
            )
        )

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Create from `get_config`."""
        return cls(**config)


def real(step: ArrayLike) -> TensorLike:
    """`step` as a floating-point number.

    Plain numbers and NumPy arrays become float64, so that a rate is rounded once, at the end; a
    traced step stays in its own world, in `floatx`.
    """
    value = step.value if isinstance(step, Variable) else step
    if isinstance(value, int | float | np.generic | np.ndarray | list | tuple):
        return np.asarray(value, dtype=np.float64)
    return rate(value)


def rate(value: ArrayLike) -> TensorLike:
    """A computed learning rate, rounded to `floatx`."""
    rounded: TensorLike = ops.cast(value, settings.floatx())
    return rounded


def plain(value: Number) -> Number:
    """A NumPy number as a Python one, so that configs are JSON."""
    if isinstance(value, np.generic):
        number: Number = value.item()
        return number
    return value


def check_positive(where: str, name: str, value: float) -> None:
    """Raise ValueError unless ``value > 0``."""
    if not value > 0:
        raise ValueError(
            message(where, f"`{name}` > 0", describe(value), f"Pass a positive `{name}`.")
        )
