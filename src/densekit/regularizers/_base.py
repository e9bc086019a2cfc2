"""What every regularizer is: a function from a weight to a penalty, with a config."""

from __future__ import annotations

import math
from typing import Any, Self

from densekit._core.assignments import CountsAssignments
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import Config


@export("keras.regularizers", "regularizer")
class Regularizer(CountsAssignments):
    """A penalty on a weight or on a layer's output, added to the loss.

    Formula: ``__call__(x) -> scalar``; the base class returns 0.

    Example:

    >>> import densekit as keras
    >>> class Smallest(keras.regularizers.Regularizer):
    ...     def __call__(self, x):
    ...         return keras.ops.min(x)
    >>> float(Smallest()([3.0, 2.0]))
    2.0
    """

    def __call__(self, x: Any) -> Any:
        """The penalty of an array of any shape, a scalar."""
        return 0.0

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Create from `get_config`."""
        return cls(**config)

    def get_config(self) -> Config:
        """The constructor's arguments; a subclass that is saved must define it."""
        raise NotImplementedError(
            message(
                type(self).__name__,
                "a `get_config` method",
                "none",
                "Define `get_config` to return the constructor's arguments.",
            )
        )


def check_factor(owner: str, name: str, value: object) -> float:
    """A regularization factor as a float; it must be a number that is finite and >= 0."""
    if isinstance(value, float | int) and math.isfinite(value) and value >= 0:
        return float(value)
    raise ValueError(
        message(
            owner,
            f"`{name}` to be a non-negative float",
            describe(value),
            "Pass a finite number >= 0.",
        )
    )
