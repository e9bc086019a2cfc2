"""`Quantizer`: base of all quantizers."""

from __future__ import annotations

from typing import Any, Self

from densekit._core.registry import export
from densekit._core.types import Config


@export("keras.quantizers")
class Quantizer:
    """Base of quantizers: called with a tensor, one gives whole numbers and their scale.

    Args:
        output_dtype: type of the whole numbers. Default: ``"int8"``.

    Example:

    >>> import densekit as keras
    >>> keras.quantizers.Quantizer().output_dtype
    'int8'
    """

    def __init__(self, output_dtype: str = "int8") -> None:
        self.output_dtype = output_dtype

    def __call__(self, x: Any) -> Any:
        """`x` as it is; subclasses quantize it."""
        return x

    def get_config(self) -> Config:
        """The constructor's arguments.

        Raises:
            NotImplementedError: unless a subclass says it.
        """
        raise NotImplementedError(f"{self} does not implement get_config()")

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Create from `get_config`."""
        return cls(**config)
