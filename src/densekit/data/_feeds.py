"""`ArrayFeed`: batches cut from arrays; what all feeds share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from densekit import engines
from densekit._core.engine import Chunk, Index
from densekit._core.errors import describe, message
from densekit._core.foreign import is_exporter
from densekit._core.frames import warn
from densekit._core.types import Array
from densekit.data._arrays import SparseRows, is_sparse
from densekit.data._columns import Columns

Order = Callable[[int, int], Index]  # rows, rows of a block

_OUT_OF_DATA = (
    "Your input ran out of data; interrupting training. Make sure that your dataset or generator "
    "can generate at least `steps_per_epoch * epochs` batches."
)


class ArrayFeed:
    """Arrays in memory, cut into batches.

    Args:
        columns: the arrays.
        batch_size: rows of a batch; None: 32, or what `steps` makes of the rows.
        steps: batches of an epoch; None: all.
        shuffle: True, False, or ``"batch"``: only inside batches.
        order: gives the order of each pass over so many rows, shuffled inside blocks of so many.
    """

    def __init__(
        self,
        columns: Columns,
        batch_size: object,
        steps: int | None,
        shuffle: object = False,
        order: Order | None = None,
    ) -> None:
        rows = columns.rows
        if rows == 0:
            raise ValueError(
                message("data", "at least one sample", "arrays without rows", "Pass some data.")
            )
        self.sample = columns  # shows shapes and types
        self.rows = rows
        self.steps = check_count(steps, "steps")
        self._size = check_count(batch_size, "batch_size")
        self._kept: Index | None = None
        self._shuffle = shuffle
        self._order = order
        self._index: Index | None = None
        self._position = 0  # steps of the present pass
        self._direct = columns.are_readable
        self._natural = np.arange(rows, dtype=np.int64)
        self._count_steps()

    def _count_steps(self) -> None:
        self.batch_size = self._size or (math.ceil(self.rows / self.steps) if self.steps else 32)
        self._pass_steps = math.ceil(self.rows / self.batch_size)

    def keep(self, rows: Index) -> None:
        """Take only these rows of the columns, as if they were all there is."""
        self._kept, self._natural, self.rows = rows, rows, len(rows)
        self._count_steps()

    @property
    def num_batches(self) -> int | None:
        """Steps of an epoch."""
        return self.steps or self._pass_steps

    def chunks(self, chunk_steps: int) -> Iterator[Chunk]:
        """The steps of one epoch, up to `chunk_steps` at a time."""
        wanted = self.steps or self._pass_steps
        if self.steps is None:
            self._index = None
        step = 0
        while step < wanted:
            if self._index is None:
                self._index = self._next_order()
                self._position = 0
            if self._position >= self._pass_steps:
                warn_out_of_data()
                break
            steps = min(chunk_steps, wanted - step, self._pass_steps - self._position)
            start = self._position * self.batch_size
            yield self._chunk(step, start, min(start + steps * self.batch_size, self.rows))
            self._position += steps
            step += steps
        if self._position >= self._pass_steps:
            self._index = None

    def _next_order(self) -> Index:
        if not self._shuffle or self._order is None:
            return self._natural
        order = self._order(self.rows, self.batch_size if self._shuffle == "batch" else self.rows)
        return order if self._kept is None else self._kept[order]

    def _chunk(self, step: int, start: int, stop: int) -> Chunk:
        assert self._index is not None
        index = self._index[start:stop]
        natural = self._index is self._natural and self._kept is None
        inputs, targets, weights = self.sample
        first = start if natural else None
        picked = Chunk(step, self.batch_size, inputs, targets, weights, index, first)
        if self._direct:
            return picked
        # Columns that the core cannot read are copied for these rows alone, never as a whole.

        def gather(column: Array | None) -> Array | None:
            rows = picked.pick(column)
            return None if rows is None else engines.readable(rows)

        return picked._replace(
            inputs=[
                engines.readable(rows) for rows in map(picked.pick, inputs) if rows is not None
            ],
            targets=[gather(column) for column in targets],
            weights=[gather(column) for column in weights],
            picks=np.arange(stop - start, dtype=np.int64),
            start=0,
            source=index,
        )

    @property
    def copied_rows(self) -> int | None:
        """Rows of a chunk, if they are copied before a run; else None."""
        return None if self._direct else engines.rows_at_once(self.sample.inputs)

    def begin_anew(self) -> None:
        """The next epoch begins with the first row, wherever the last one stopped."""
        self._index = None

    def epoch_begins(self) -> None:
        """Nothing to do."""

    def epoch_ends(self) -> None:
        """Nothing to do."""


def is_stream(x: object) -> bool:
    """Whether `x` yields batches, rather than being data itself."""
    if x is None or isinstance(x, list | tuple | dict | str) or is_exporter(x):
        return False
    if is_sparse(x) or isinstance(x, SparseRows):
        return False
    return hasattr(x, "__iter__") or hasattr(x, "__getitem__")


def check_count(value: object, what: str) -> int | None:
    """None, or a whole number of at least 1."""
    if value is None:
        return None
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        if value >= 1:
            return int(value)
        error: type[Exception] = ValueError
    else:
        finite = not isinstance(value, float | np.floating) or math.isfinite(value)
        error = TypeError if finite else ValueError
    raise error(message(f"`{what}`", "an integer >= 1 or None", describe(value), "Pass e.g. 10."))


def warn_out_of_data() -> None:
    """Say that an epoch ends before its steps do."""
    warn(_OUT_OF_DATA)
