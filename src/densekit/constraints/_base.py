"""What every constraint is: a function from a weight to an allowed weight, with a config."""

from __future__ import annotations

from typing import Any, Self

from densekit import ops
from densekit._core.assignments import CountsAssignments
from densekit._core.registry import export
from densekit._core.types import Config


@export("keras.constraints", "constraint")
class Constraint(CountsAssignments):
    """A projection that the optimizer applies to a weight after each update.

    Formula: ``__call__(w) -> w'`` of the same shape; the base class returns `w`.

    Example:

    >>> import densekit as keras
    >>> class Rounded(keras.constraints.Constraint):
    ...     def __call__(self, w):
    ...         return keras.ops.round(w)
    >>> Rounded()([0.75]).tolist()
    [1.0]
    """

    def __call__(self, w: Any) -> Any:
        """The projection of a weight of any shape."""
        return ops.convert_to_tensor(w)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Create from `get_config`."""
        return cls(**config)
