"""`StreamFeed`: batches from a generator, an iterable, or a data set that gives them by number."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import cast

import numpy as np

from densekit import engines
from densekit._core.engine import Chunk
from densekit._core.errors import message
from densekit.data._columns import Columns, Triple, unpack_x_y_sample_weight
from densekit.data._feeds import ArrayFeed, Order, check_count, warn_out_of_data
from densekit.data._pydataset import PyDataset, works_ahead

_KEPT = 2  # first batches of an iterator that every pass begins with, as in Keras


class StreamFeed:
    """Batches that a source makes, each a step.

    A source whose length is known, or that can be iterated again, is passed through as often as
    steps are wanted; an epoch of `steps` goes on where the last one stopped, and a pass that ends
    with an epoch is followed by a new one. An iterator has one pass. What comes after that, and
    after `begin_anew`, begins with its first two batches, which are kept.

    Args:
        source: yields ``x``, ``(x, y)`` or ``(x, y, sample_weight)``.
        convert: turns these into columns of inputs, targets and weights.
        steps: batches of an epoch; None: until the source ends.
        order: gives the order of the batches of a pass where the source gives them by number, as
            for `ArrayFeed`; None: as they are.
    """

    def __init__(
        self,
        source: Iterable[object],
        convert: Callable[[object, object, object], Columns],
        steps: int | None,
        order: Order | None = None,
    ) -> None:
        self._source = source
        self._order = order
        self._convert = convert
        self.steps = check_count(steps, "steps")
        self._known = _length(source)
        self._ended_after: int | None = None  # steps until an open source first ended
        self._kept: list[object] | None = None
        if isinstance(source, Iterator):
            self._kept = list(itertools.islice(source, _KEPT))
        self._first: list[object] | None = None
        self._pass: Iterator[object] | None = None
        self._taken = 0  # steps of the present pass
        self._sample: Columns | None = None

    @property
    def num_batches(self) -> int | None:
        """Steps of an epoch, None until it is known."""
        return self.steps or self._known or self._ended_after

    @property
    def tells_epochs(self) -> bool:
        """Whether the source looks at the begin or the end of an epoch, so that it is asked for
        batches only between the two.
        """
        kind = type(self._source)
        return any(
            getattr(kind, hook, None) not in (None, getattr(PyDataset, hook))
            for hook in ("on_epoch_begin", "on_epoch_end")
        )

    def first_batch(self) -> Triple:
        """The first batch, looked at without being used up."""
        if self._first is None:
            if self._kept is None:
                self.epoch_begins()
                self._start_pass()
                assert self._pass is not None
                self._first = list(itertools.islice(self._pass, 1))
                # What is told of epochs may give other batches in the next.
                told = self.tells_epochs
                self._pass = None if told else itertools.chain(self._first, self._pass)
            else:
                self._first = self._kept
            if not self._first:
                raise _empty()
        return unpack_x_y_sample_weight(self._first[0])

    @property
    def sample(self) -> Columns:
        """Columns that show shapes and types: those of the first batch."""
        if self._sample is None:
            self._sample = self._convert(*self.first_batch())
        return self._sample

    def raw_batches(self) -> Iterator[object]:
        """What the source yields in one epoch."""
        wanted = self.steps or self._known
        if self._pass is None or (self.steps is None and self._taken):
            self._start_pass()
        step = 0
        while not wanted or step < wanted:
            if self._known is not None and self._taken >= self._known:
                if not self._taken:
                    raise _empty()
                if self.steps is not None:
                    warn_out_of_data()
                break
            assert self._pass is not None
            try:
                batch = next(self._pass)
            except StopIteration:
                self._pass = None
                if not self._taken:
                    raise _empty() from None
                if self.steps is not None or self._known is not None or self._kept is not None:
                    warn_out_of_data()
                self._ended_after = self._ended_after or step
                break
            self._taken += 1
            step += 1
            yield batch
        if self._known is not None and self._taken >= self._known:
            self._pass = None

    def chunks(self, chunk_steps: int) -> Iterator[Chunk]:
        """The batches of one epoch, one at a time."""
        for step, batch in enumerate(self.raw_batches()):
            inputs, targets, weights = self._convert(*unpack_x_y_sample_weight(batch))
            inputs = [engines.readable(a[:]) for a in inputs]
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
            yield Chunk(step, rows, inputs, targets, weights, index, 0)

    def _start_pass(self) -> None:
        self._pass = self._new_pass()
        self._taken = 0

    def _new_pass(self) -> Iterator[object]:
        source = self._source
        if self._kept is not None:
            return itertools.chain(self._kept, source)
        length = _length(source)
        if isinstance(source, PyDataset) and length is None:
            return self._batches(itertools.count())
        if length is None or not hasattr(source, "__getitem__"):
            return iter(source)
        if self._order is None:
            return self._batches(range(length))
        return self._in_order(self._order, length)

    def _in_order(self, order: Order, length: int) -> Iterator[object]:
        # The order is drawn when the first batch is taken: that of an epoch follows from what was
        # trained before it.
        yield from self._batches(order(length, length).tolist() if length else [])

    def _batches(self, indices: Iterable[int]) -> Iterator[object]:
        source = self._source
        if isinstance(source, PyDataset) and works_ahead(source):
            from densekit.data._workers import made_ahead  # with multiprocessing: slow to import

            return made_ahead(source, indices)
        return map(cast("Sequence[object]", source).__getitem__, indices)

    def begin_anew(self) -> None:
        """Before training, and before each validation: the next epoch begins with the first
        batch. The source is told that what went before has ended, as Keras tells it.
        """
        if self._taken:
            self._pass = None
        self._known = _length(self._source)
        self.epoch_ends()

    def epoch_begins(self) -> None:
        """Tell the source, if it wants to know."""
        getattr(self._source, "on_epoch_begin", lambda: None)()

    def epoch_ends(self) -> None:
        """Tell the source, if it wants to know."""
        getattr(self._source, "on_epoch_end", lambda: None)()


Feed = ArrayFeed | StreamFeed


def _empty() -> ValueError:
    return ValueError(
        message("data", "at least one batch", "an empty source", "Yield some batches.")
    )


def _length(source: object) -> int | None:
    """Number of batches of a pass, None if it cannot be told."""
    if isinstance(source, PyDataset):
        return source.num_batches
    batches = getattr(source, "num_batches", None)
    if isinstance(batches, int):
        return batches
    try:
        return len(source)  # type: ignore[arg-type]
    except (TypeError, NotImplementedError):
        return None
