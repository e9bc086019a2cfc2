"""Batches for steps that a subclass wrote anew: rows as the user passed and structured them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from densekit._core import settings, tree
from densekit._core.dtypes import to_numpy_dtype
from densekit._core.engine import Chunk
from densekit._core.text import as_strings, holds_text
from densekit._core.types import Array
from densekit.data._arrays import as_array
from densekit.data._columns import Columns


class BatchStructure:
    """Takes data apart into columns, and puts batches together as the user structured them.

    Args:
        text: whether inputs may hold strings.
    """

    def __init__(self, text: bool = False) -> None:
        self._text = text
        self._structures: list[object] = [None, None, None]
        self._floatx: np.dtype[np.generic] | None = None
        self._is_bare = False  # one array and its targets
        self._checked: object = None  # a structure that was found to be its own

    def columns(self, x: object, y: object, sample_weight: object) -> Columns:
        """Columns of a feed: flat lists of arrays."""
        given = [x, y, sample_weight]
        self._checked = None
        self._structures = given
        self._floatx = to_numpy_dtype(settings.floatx())
        self._is_bare = sample_weight is None and not any(
            part is None or tree.is_nested(part) for part in (x, y)
        )
        names = ("x", "y", "sample_weight")
        parts = [
            [] if part is None else [self._column(leaf, name) for leaf in tree.flatten(part)]
            for part, name in zip(given, names, strict=True)
        ]
        return Columns(parts[0], [*parts[1]], [*parts[2]])

    def _column(self, leaf: object, name: str) -> Any:
        if self._text and name == "x" and holds_text(leaf):
            return as_strings(leaf, "`x`")
        return as_array(leaf, name)

    def batches(self, chunk: Chunk) -> Iterator[object]:
        """The batches of a chunk, one for each step."""
        columns = (chunk.inputs, chunk.targets, chunk.weights)
        for start in range(0, len(chunk.picks), chunk.batch_size):
            picks = chunk.picks[start : start + chunk.batch_size]
            first = None if chunk.start is None else chunk.start + start
            yield self._batch(columns, picks, first)

    def batch(self, chunk: Chunk) -> Any:
        """The only batch of a chunk."""
        if not self._is_bare:
            columns = (chunk.inputs, chunk.targets, chunk.weights)
            return self._batch(columns, chunk.picks, chunk.start)
        picks, first = chunk.picks, chunk.start
        floatx = self._floatx
        x, y = chunk.inputs[0], chunk.targets[0]
        return _rows(x, picks, first, floatx), _rows(y, picks, first, floatx)

    def _batch(self, columns: Sequence[Any], picks: Any, first: int | None) -> object:
        parts: list[object] = []
        for structure, leaves in zip(self._structures, columns, strict=True):
            if structure is None:
                break
            rows = [_rows(leaf, picks, first, self._floatx) for leaf in leaves]
            parts.append(tree.pack_as(structure, rows))
        return _as_data(parts)

    # As one list

    def structure(self) -> object:
        """How the columns are put together: equal for data that are handed on alike."""
        return self.packed(range(self._leaves()))

    def is_like(self, structure: object) -> bool:
        """Whether the columns are put together like others."""
        if self._checked is not structure:
            if self.structure() != structure:
                return False
            self._checked = structure
        return True

    def _leaves(self) -> int:
        return sum(len(tree.flatten(part)) for part in self._structures if part is not None)

    def columns_of(self, chunk: Chunk) -> list[Array]:
        """The columns of a chunk that belong to the data, as one list."""
        x, y, sample_weight = self._structures
        given: list[Array | None] = [] if x is None else [*chunk.inputs]
        given += [] if y is None else chunk.targets
        given += [] if sample_weight is None else chunk.weights
        return [column for column in given if column is not None]

    def packed(self, leaves: Sequence[object]) -> object:
        """The data of a step, with other leaves in the places of the columns."""
        left = iter(leaves)
        parts: list[object] = []
        for structure in self._structures:
            if structure is None:
                break
            parts.append(tree.pack_as(structure, [next(left) for _ in tree.flatten(structure)]))
        return _as_data(parts)


def _as_data(parts: list[object]) -> object:
    """What Keras hands to a step."""
    if len(parts) == 1 and not isinstance(parts[0], list | tuple):
        return parts[0]
    return tuple(parts)


def rows_of(column: Array, step: Chunk, floatx: str) -> Array:
    """The rows of a step, as it is handed them."""
    rows: Array = _rows(column, step.picks, step.start, to_numpy_dtype(floatx))
    return rows


def _rows(column: Any, picks: Any, first: int | None, floatx: Any) -> Any:
    """A batch of a column: the user's to keep and to change; floats in the default type."""
    rows = column[first : first + len(picks)] if first is not None else column.take(picks, axis=0)
    dtype = rows.dtype
    if dtype.kind == "f" and dtype is not floatx:
        return np.array(rows, floatx) if first is not None else rows.astype(floatx, copy=False)
    return np.array(rows) if first is not None else rows
