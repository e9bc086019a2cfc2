"""What a layer's `lower` sees of a plan: its values, and what can be done with them."""

from __future__ import annotations

import math

Shape = tuple[int, ...]


class NotLowerable(Exception):
    """This call has no native form, and why: a clause that begins with "it" or names a part."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class Handle:
    """A value of the plan: number, shape with None for the batch, dtype in the definition."""

    __slots__ = ("dtype", "shape", "value")

    def __init__(self, value: int, shape: tuple[int | None, ...], dtype: str = "float32") -> None:
        self.value = value
        self.shape = shape
        self.dtype = dtype

    @property
    def sample_shape(self) -> Shape:
        """Shape of one sample."""
        return self.shape[1:]  # type: ignore[return-value]

    @property
    def size(self) -> int:
        """Elements of one sample."""
        return math.prod(self.sample_shape)
