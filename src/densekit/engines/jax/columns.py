"""`Layout`: which columns of a chunk steps take, and in which types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from densekit._core import settings
from densekit._core.engine import Chunk, Measure
from densekit._core.types import Array

Listed: TypeAlias = list[tuple[Array | None, str]]
Types: TypeAlias = tuple[tuple[str, ...], ...]
_INT32 = np.iinfo(np.int32)


class Column(NamedTuple):
    """Targets, or weights, of an output as metrics are handed them."""

    is_target: bool
    output: int
    dtype: str


class Place(NamedTuple):
    """Where metrics find such a column in a batch."""

    group: int
    number: int


class Layout(NamedTuple):
    """The columns, in groups as in a `Batch`.

    Attributes:
        inputs: dtypes in the definition.
        losses: for each loss the output that it is of.
        floats: dtype of targets and weights.
        measured: what metrics look at beside these.
    """

    inputs: tuple[str, ...]
    losses: tuple[int, ...]
    floats: str
    measured: tuple[Column, ...] = ()

    @property
    def types(self) -> Types:
        """The dtypes in the definition."""
        floats = (self.floats,) * len(self.losses)
        return self.inputs, floats, floats, tuple(c.dtype for c in self.measured)

    def listed(self, chunk: Chunk) -> tuple[Listed, Listed, Listed, Listed]:
        """The columns with their dtypes."""
        data = {True: chunk.targets, False: chunk.weights}
        return (
            [*zip(chunk.inputs, self.inputs, strict=True)],
            [(chunk.targets[i], self.floats) for i in self.losses],
            [(chunk.weights[i], self.floats) for i in self.losses],
            [(data[c.is_target][c.output], c.dtype) for c in self.measured],
        )

    def place_of(self, column: Column) -> Place:
        """Where it lies; a column that a loss takes in the same type is not taken twice."""
        if self._is_of_loss(column):
            return Place(1 if column.is_target else 2, self.losses.index(column.output))
        return Place(3, self.measured.index(column))

    def has(self, column: Column) -> bool:
        """Whether it lies anywhere."""
        return column in self.measured or self._is_of_loss(column)

    def _is_of_loss(self, column: Column) -> bool:
        return column.dtype == self.floats and column.output in self.losses

    def with_measures(self, measures: Sequence[Measure], chunk: Chunk, wide: bool) -> Layout | None:
        """The same with what metrics look at; None if the device cannot hold it.

        Args:
            wide: whether it computes with 64 bits.
        """
        found: dict[Column, None] = {}
        for measure in measures:
            for is_target in (True, False) if measure.weighted else (True,):
                data = (chunk.targets if is_target else chunk.weights)[measure.output]
                if data is None:
                    continue
                dtype = dtype_of(data, wide)
                if dtype is None:
                    return None
                column = Column(is_target, measure.output, dtype)
                if not self._is_of_loss(column):
                    found[column] = None
        return self._replace(measured=tuple(found))


def dtype_of(column: Array, wide: bool) -> str | None:
    """The type in which metrics are handed a column; None for numbers that are too large."""
    kind = column.dtype.kind
    if kind == "f":
        return settings.floatx()
    if kind not in "biu":
        return None
    if column.dtype.itemsize < 8 or wide:
        return column.dtype.name
    return None if needs_64_bits(column) else "int32"


def needs_64_bits(column: Array) -> bool:
    """Whether it holds whole numbers that 32 bits do not."""
    if column.dtype.kind not in "iu" or column.dtype.itemsize < 8 or not column.size:
        return False
    return bool(column.min() < _INT32.min or column.max() > _INT32.max)


def name_of(dtype: npt.DTypeLike) -> str:
    """The name of a dtype."""
    return np.dtype(dtype).name
