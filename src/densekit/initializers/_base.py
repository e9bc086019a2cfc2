"""What every initializer is: a function from a shape to first values, with a config."""

from __future__ import annotations

from typing import Any, Self

from densekit._core.errors import message
from densekit._core.registry import export
from densekit._core.types import Config


@export("keras.initializers", "initializer")
class Initializer:
    """The distribution of the initial weights.

    Formula: ``__call__(shape, dtype=None) -> array`` of that shape and dtype.

    Example:

    >>> import densekit as keras
    >>> class Halves(keras.initializers.Initializer):
    ...     def __call__(self, shape, dtype=None):
    ...         return keras.ops.full(shape, 0.5, dtype=dtype)
    >>> Halves()((2,)).tolist()
    [0.5, 0.5]
    """

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """An array of `shape`; `dtype` None means `floatx`."""
        raise NotImplementedError(
            message(
                type(self).__name__,
                "a `__call__(shape, dtype=None)` method",
                "none",
                "Define it to return an array.",
            )
        )

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Create from `get_config`."""
        return cls(**config)

    def clone(self) -> Self:
        """A new initializer from this one's config: with seed None it draws other values."""
        return type(self).from_config(self.get_config())
