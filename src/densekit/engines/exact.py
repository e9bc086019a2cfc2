"""Values that the floats of a plan cannot hold, large integers and strings: they go beside it.

A host node leaves its outputs of another dtype here, where later host nodes, metrics and callers
find them. The plan has them too, rounded to its floats.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar

import numpy as np
import numpy.typing as npt

from densekit._core.types import Array


def goes_beside(dtype: np.dtype[np.generic], floats: np.dtype[np.generic]) -> bool:
    """Whether values of a dtype go beside the `floats` of an engine, which cannot hold them."""
    return dtype.kind in "biuU" or dtype.itemsize > floats.itemsize


class ExactValues:
    """The exact values of one native call, by number of the plan's value.

    Args:
        columns: inputs that are no floats of the plan, and their dtypes in the model.
        index: rows of the columns that the call takes; None: all, in one step.
        batch_size: rows of a step.
        wanted: values of which those of all steps are kept.
    """

    def __init__(
        self,
        columns: dict[int, tuple[Array, np.dtype[np.generic]]],
        index: npt.NDArray[np.int64] | None = None,
        batch_size: int = 0,
        wanted: Iterable[int] = (),
    ) -> None:
        self._columns = columns
        self._index = index
        self._batch_size = batch_size
        self._start = 0
        self._values: dict[int, Array] = {}
        if index is None:
            self._values = {value: np.asarray(x, dtype) for value, (x, dtype) in columns.items()}
        self._kept: dict[int, list[Array]] = {value: [] for value in wanted}

    def begin_step(self) -> None:
        """Go on to the next rows; the first host node of a plan calls it."""
        if self._index is None:
            return
        rows = self._index[self._start : self._start + self._batch_size]
        self._start += self._batch_size
        self._values = {
            value: np.asarray(column[rows], dtype)
            for value, (column, dtype) in self._columns.items()
        }

    def get(self, value: int) -> Array | None:
        """The exact rows of a value; None where the plan's own will do."""
        return self._values.get(value)

    def put(self, value: int, rows: Array) -> None:
        """Keep the exact rows of a value."""
        self._values[value] = rows
        if value in self._kept:
            self._kept[value].append(rows)

    def of_all_steps(self, value: int) -> Array | None:
        """The rows of a wanted value, of one step after the other."""
        kept = self._kept[value]
        return np.concatenate(kept) if kept else None


exact_values: ContextVar[ExactValues | None] = ContextVar("densekit_exact", default=None)
