"""Where batches come from: arrays in memory, or anything that yields batches."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from densekit import engines
from densekit._core.errors import describe, message
from densekit._core.frames import warn
from densekit.data._columns import Array, Columns, unpack_x_y_sample_weight

Index = npt.NDArray[np.int64]
Order = Callable[[int, int], Index]  # rows, rows of a block

OUT_OF_DATA = (
    "Your input ran out of data; interrupting training. Make sure that your dataset or generator "
    "can generate at least `steps_per_epoch * epochs` batches."
)


class Block(NamedTuple):
    """Some steps in a row: columns of data and which of their rows, in order."""

    first_step: int
    batch_size: int
    inputs: list[Array]
    targets: Columns
    weights: Columns
    picks: Index
    start: int | None = None  # first row, if the rows are consecutive

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.picks)

    @property
    def steps(self) -> int:
        """Number of steps."""
        return -(-len(self.picks) // self.batch_size)

    def pick(self, column: Array | None) -> Array | None:
        """The block's rows of a column, in order."""
        if column is None:
            return None
        if self.start is None:
            return column.take(self.picks, axis=0)
        return column[self.start : self.start + len(self.picks)]


class ArrayFeed:
    """Arrays in memory, cut into batches.

    Args:
        batch_size: rows of a batch; None: 32, or what `steps` makes of the rows.
        steps: batches of an epoch; None: all.
        shuffle: True, False, or ``"batch"``: only inside batches.
        order: gives the order of each pass over so many rows, shuffled inside blocks of so many.
    """

    def __init__(
        self,
        inputs: list[Array],
        targets: Columns,
        weights: Columns,
        rows: int,
        batch_size: Any,
        steps: int | None,
        shuffle: Any = False,
        order: Order | None = None,
    ) -> None:
        if rows == 0:
            raise ValueError(
                message("data", "at least one sample", "arrays without rows", "Pass some data.")
            )
        self.inputs, self.targets, self.weights = inputs, targets, weights
        self.rows = rows
        self.steps = check_count(steps, "steps")
        size = check_count(batch_size, "batch_size")
        self.batch_size = size or (math.ceil(rows / self.steps) if self.steps else 32)
        self._pass_steps = math.ceil(rows / self.batch_size)
        self._shuffle = shuffle
        self._order = order
        self._index: Index | None = None
        self._position = 0  # steps of the present pass
        columns = [*inputs, *(c for c in (*targets, *weights) if c is not None)]
        self._direct = all(engines.is_readable(column) for column in columns)
        self._natural = np.arange(rows, dtype=np.int64)

    @property
    def num_batches(self) -> int | None:
        """Steps of an epoch."""
        return self.steps or self._pass_steps

    @property
    def sample(self) -> tuple[list[Array], Columns, Columns]:
        """Columns that show shapes and types."""
        return self.inputs, self.targets, self.weights

    def blocks(self, block_steps: int) -> Iterator[Block]:
        """The steps of one epoch, up to `block_steps` at a time."""
        wanted = self.steps or self._pass_steps
        if self.steps is None:
            self._index = None
        step = 0
        while step < wanted:
            if self._index is None:
                self._index = self._next_order()
                self._position = 0
            if self._position >= self._pass_steps:
                warn(OUT_OF_DATA)
                break
            steps = min(block_steps, wanted - step, self._pass_steps - self._position)
            start = self._position * self.batch_size
            yield self._block(step, start, min(start + steps * self.batch_size, self.rows))
            self._position += steps
            step += steps
        if self._position >= self._pass_steps:
            self._index = None

    def _next_order(self) -> Index:
        if not self._shuffle or self._order is None:
            return self._natural
        return self._order(self.rows, self.batch_size if self._shuffle == "batch" else self.rows)

    def _block(self, step: int, start: int, stop: int) -> Block:
        assert self._index is not None
        index = self._index[start:stop]
        natural = self._index is self._natural
        if self._direct:
            return Block(
                step,
                self.batch_size,
                self.inputs,
                self.targets,
                self.weights,
                index,
                start if natural else None,
            )
        # Columns that only NumPy can read are copied for these rows alone, never as a whole.
        picked = Block(step, self.batch_size, [], [], [], index, start if natural else None)

        def gather(column: Array | None) -> Array | None:
            rows = picked.pick(column)
            return None if rows is None else engines.readable(rows)

        return Block(
            step,
            self.batch_size,
            [engines.readable(picked.pick(c)) for c in self.inputs],  # type: ignore[arg-type]
            [gather(c) for c in self.targets],
            [gather(c) for c in self.weights],
            np.arange(stop - start, dtype=np.int64),
            0,
        )

    @property
    def gathers(self) -> bool:
        """Whether rows are copied before a run, so that blocks should be small."""
        return not self._direct

    def epoch_begins(self) -> None:
        """Nothing to do."""

    def epoch_ends(self) -> None:
        """Nothing to do."""


class StreamFeed:
    """Batches from a generator, an iterable or a sequence of batches, each a step.

    Args:
        source: yields ``x``, ``(x, y)`` or ``(x, y, sample_weight)``.
        convert: turns these into columns of inputs, targets and weights.
        steps: batches of an epoch; None: until the source ends.
        order: gives the order of the batches of an epoch where the source gives them by number, as
            for `ArrayFeed`; None: as they are.
    """

    def __init__(
        self,
        source: Any,
        convert: Callable[[Any, Any, Any], tuple[list[Array], Columns, Columns]],
        steps: int | None,
        order: Order | None = None,
    ) -> None:
        self._source = source
        self._order = order
        self._convert = convert
        self.steps = check_count(steps, "steps")
        self._known: int | None = _length(source)
        self._iterator: Iterator[Any] | None = None
        self._peeked: list[Any] = []
        self._sample: tuple[list[Array], Columns, Columns] | None = None
        self.gathers = False

    @property
    def num_batches(self) -> int | None:
        """Steps of an epoch, None until it is known."""
        return self.steps or self._known

    def peek(self) -> tuple[Any, Any, Any]:
        """The first batch, which stays to be used."""
        self._iterator = self._restart()
        try:
            batch = next(self._iterator)
        except StopIteration:
            raise ValueError(
                message("data", "at least one batch", "an empty source", "Yield some batches.")
            ) from None
        self._peeked = [batch]
        return unpack_x_y_sample_weight(batch)

    @property
    def sample(self) -> tuple[list[Array], Columns, Columns]:
        """Columns that show shapes and types: those of the first batch."""
        if self._sample is None:
            x, y, weight = unpack_x_y_sample_weight(self._peeked[0])
            self._sample = self._convert(x, y, weight)
        return self._sample

    def raw_batches(self) -> Iterator[Any]:
        """What the source yields in one epoch."""
        if self._iterator is None:
            self._iterator = self._restart()
        step = 0
        while self.steps is None or step < self.steps:
            if self._peeked:
                batch = self._peeked.pop()
            else:
                try:
                    batch = next(self._iterator)
                except StopIteration:
                    self._ended(step)
                    return
            yield batch
            step += 1

    def blocks(self, block_steps: int) -> Iterator[Block]:
        """The batches of one epoch, one at a time."""
        for step, batch in enumerate(self.raw_batches()):
            inputs, targets, weights = self._convert(*unpack_x_y_sample_weight(batch))
            inputs = [engines.readable(a) for a in inputs]
            targets = [None if a is None else engines.readable(a) for a in targets]
            weights = [None if a is None else engines.readable(a) for a in weights]
            rows = len(inputs[0])
            if not rows:
                raise ValueError(
                    message(
                        f"data, batch {step}",
                        "at least one sample",
                        "arrays without rows",
                        "Leave empty batches out.",
                    )
                )
            index = np.arange(rows, dtype=np.int64)
            yield Block(step, rows, inputs, targets, weights, index, 0)

    def _ended(self, step: int) -> None:
        self._iterator = None
        if self.steps is None and step:
            self._known = self._known or step
        else:
            warn(OUT_OF_DATA)

    def _restart(self) -> Iterator[Any]:
        if hasattr(self._source, "__next__"):
            return iter(self._source)  # cannot start again: an ended one stays ended
        if not hasattr(self._source, "__getitem__"):
            return iter(self._source)
        if self._known is None:
            return map(self._source.__getitem__, itertools.count())
        if self._order is None:
            return map(self._source.__getitem__, range(self._known))
        return map(self._source.__getitem__, self._order(self._known, self._known).tolist())

    def epoch_begins(self) -> None:
        """Tell the source, if it wants to know."""
        getattr(self._source, "on_epoch_begin", lambda: None)()

    def epoch_ends(self) -> None:
        """Tell the source, if it wants to know."""
        getattr(self._source, "on_epoch_end", lambda: None)()


def is_stream(x: Any) -> bool:
    """Whether `x` yields batches, rather than being data itself."""
    if x is None or isinstance(x, list | tuple | dict | str) or hasattr(x, "__array__"):
        return False
    return hasattr(x, "__iter__") or hasattr(x, "__getitem__")


def check_count(value: Any, what: str) -> int | None:
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
    raise error(message(f"`{what}`", "an integer >= 1 or None", describe(value), "Change it."))


def _length(source: Any) -> int | None:
    batches = getattr(source, "num_batches", None)
    if isinstance(batches, int):
        return batches
    try:
        return len(source)
    except (TypeError, NotImplementedError):
        return None
