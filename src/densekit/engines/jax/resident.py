"""`Resident`: a data set on the device, from which batches are picked there."""

from __future__ import annotations

from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from densekit._core.engine import Chunk
from densekit._core.types import Array
from densekit.engines.jax.columns import Layout, Types
from densekit.engines.jax.numbers import on_device

_PART = 4  # of a device's memory that a data set may take
_ON_PROCESSOR = 1 << 31  # bytes, beside the arrays of the user
_FEW = 1 << 12  # rows that may lie there unused

_Columns: TypeAlias = list[jax.Array | None]
Columns: TypeAlias = tuple[_Columns, ...]  # in groups as in a `Batch`


class Resident:
    """The columns of the data set that chunks come from, for as long as it is the same one.

    Args:
        layout: which columns, and their types.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._source: tuple[list[Array], list[Array | None], list[Array | None]] | None = None
        self._columns: Columns | None = None
        self._room = 0  # rows of the latest one, and of what lies behind them

    @property
    def layout(self) -> Layout:
        """Which columns, and their types."""
        return self._layout

    @layout.setter
    def layout(self, layout: Layout) -> None:
        if layout != self._layout:
            self.forget()
            self._layout = layout

    def takes(self, chunk: Chunk, single: bool = False) -> bool:
        """Whether the data set of a chunk lies on the device, or is brought there now.

        None that would take much of the memory, nor one of a single step unless `single` is set.
        """
        source = chunk.inputs, chunk.targets, chunk.weights
        if self._source is not None and all(map(_same, self._source, source)):
            return self._columns is not None
        self.forget()
        is_single = max(map(len, chunk.inputs)) <= chunk.batch_size
        if chunk.source is not None or (is_single and not single):
            return False
        self._source = source
        groups = self._layout.listed(chunk)
        if sum(_bytes(*pair) for group in groups for pair in group) <= room():
            self._room = _room_for(max(map(len, chunk.inputs)), self._room)
            self._columns = tuple(
                [_placed(*pair, self._room) for pair in group] for group in groups
            )
        return self._columns is not None

    @property
    def columns(self) -> Columns:
        """What lies on the device: in groups."""
        assert self._columns is not None
        return self._columns

    def forget(self) -> None:
        """The data set is done with."""
        self._source = self._columns = None


def room() -> int:
    """Bytes that a data set may take on the device."""
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        return _ON_PROCESSOR
    known = device.memory_stats() or {}
    return int(known.get("bytes_limit", _PART * _ON_PROCESSOR)) // _PART


def _same(one: object, two: object) -> bool:
    return one is two


def _bytes(column: Array | None, dtype: str) -> int:
    if column is None:
        return 0
    return column.size * min(column.itemsize, np.dtype(dtype).itemsize)


def _placed(column: Array | None, dtype: str, rows: int) -> jax.Array | None:
    """A column on the device; narrow numbers stay narrow there."""
    if column is None:
        return None
    narrow = column.itemsize < np.dtype(dtype).itemsize and column.dtype.kind in "biuf"
    return on_device(column, column.dtype if narrow else dtype, rows)


def _room_for(rows: int, known: int) -> int:
    """Rows to make room for: as before if that is no waste, as steps are compiled for it."""
    return known if rows <= known <= max(2 * rows, _FEW) else bucket(rows)


def bucket(n: int) -> int:
    """`n` or up to an eighth more: sizes that are alike are compiled once."""
    step = max(1, 1 << max(0, n.bit_length() - 4))
    return -(-n // step) * step


def pick(columns: Columns, picks: jax.Array, types: Types) -> tuple[_Columns, ...]:
    """The picked rows; may be traced."""

    def of(column: jax.Array | None, dtype: str) -> jax.Array | None:
        if column is None:
            return None
        rows: jax.Array = column.at[picks].get(mode="promise_in_bounds")
        return rows.astype(jnp.dtype(dtype))

    return tuple(list(map(of, group, ts)) for group, ts in zip(columns, types, strict=True))
