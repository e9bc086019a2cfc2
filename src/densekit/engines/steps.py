"""What a plan is made of: handles of its values, and the steps that make them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

Shape = tuple[int, ...]


class NotLowerable(Exception):
    """This call has no native form, and why: a clause that begins with "it" or names a part."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


@dataclass(frozen=True, eq=False, slots=True)
class Handle:
    """A value of the plan: number, shape with None for the batch, dtype in the definition."""

    value: int
    shape: tuple[int | None, ...]
    dtype: str = "float32"

    @property
    def sample_shape(self) -> Shape:
        """Shape of one sample."""
        return self.shape[1:]  # type: ignore[return-value]

    @property
    def size(self) -> int:
        """Elements of one sample."""
        return math.prod(self.sample_shape)


@dataclass(frozen=True, slots=True)
class Step:
    """One recorded call: what it is, the values it reads and makes, its arguments by name."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    bfloat16: bool = False
