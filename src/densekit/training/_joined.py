"""Chunks of several processes as one, where each brings rows of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from densekit._core import settings
from densekit._core.engine import Chunk
from densekit._core.errors import message
from densekit._core.types import Array


class _Distribution(Protocol):
    @property
    def has_whole_data(self) -> bool:
        """Whether each process is handed all rows."""

    def gathered(self, arrays: Sequence[Array]) -> list[list[Array]]:
        """Each array as the processes have it, in their order; lengths may differ."""


def joined(chunks: Iterator[Chunk], by_engine: bool) -> Iterator[Chunk]:
    """The chunks themselves, or those that hold the rows that all processes bring.

    Args:
        by_engine: whether an engine makes the steps, not one that a user wrote.

    Raises:
        ValueError: for steps that users wrote, where processes bring rows of their own.
    """
    distribution: _Distribution | None = settings.get("distribution")
    if distribution is None or distribution.has_whole_data:
        return chunks
    if not by_engine:
        raise ValueError(
            message(
                "auto_shard_dataset=False",
                "a model that trains by its engine",
                "one with a step of its own",
                "Pass the whole data to each process, with auto_shard_dataset=True.",
            )
        )
    return _of_all(chunks, distribution)


def _of_all(chunks: Iterator[Chunk], distribution: _Distribution) -> Iterator[Chunk]:
    """A step has the rows of that step of each process. Those that run out bring none."""
    latest: Chunk | None = None
    done = 0
    while True:
        chunk = next(chunks, None)
        latest = chunk or latest
        rows, size = (0, 1) if chunk is None else (chunk.rows, chunk.batch_size)
        (counts,) = distribution.gathered([np.array([rows, size])])
        if not any(int(n) for n, _ in counts):
            return
        assert latest is not None
        columns = [*latest.inputs, *latest.targets, *latest.weights]
        mine = [
            np.asarray(column[:0] if chunk is None else chunk.pick(column))
            for column in columns
            if column is not None
        ]
        per_step = [_sizes(int(n), int(batch)) for n, batch in counts]
        steps = max(map(len, per_step))
        order, sizes = _interleaved(per_step, steps)
        whole = iter([np.concatenate(parts)[order] for parts in distribution.gathered(mine)])
        rest = [None if column is None else next(whole) for column in columns]
        ins, outs = len(latest.inputs), len(latest.inputs) + len(latest.targets)
        inputs = [column for column in rest[:ins] if column is not None]
        start = 0
        for first, count, batch, last in _runs(sizes):
            n = batch * (count - 1) + last
            picks = np.arange(start, start + n)
            yield Chunk(done + first, batch, inputs, rest[ins:outs], rest[outs:], picks, start)
            start += n
        done += steps


def _sizes(rows: int, batch: int) -> list[int]:
    """Rows of each step."""
    return [min(batch, rows - start) for start in range(0, rows, batch)]


def _interleaved(per_step: list[list[int]], steps: int) -> tuple[Array, list[int]]:
    """Order of the rows of all processes, behind one another, by steps; rows of each step."""
    begins = np.cumsum([0, *map(sum, per_step)])
    order: list[Array] = []
    sizes = []
    places = [int(begin) for begin in begins[:-1]]
    for step in range(steps):
        total = 0
        for process, counts in enumerate(per_step):
            n = counts[step] if step < len(counts) else 0
            order.append(np.arange(places[process], places[process] + n))
            places[process] += n
            total += n
        sizes.append(total)
    return np.concatenate(order), sizes


def _runs(sizes: list[int]) -> Iterator[tuple[int, int, int, int]]:
    """Steps of one size, of which the last may be shorter: first, how many, rows, rows of the
    last.
    """
    first = 0
    while first < len(sizes):
        stop = first + 1
        while stop < len(sizes) and sizes[stop] == sizes[first]:
            stop += 1
        if stop == len(sizes) - 1 and sizes[stop] < sizes[first]:
            stop += 1  # no more follow
        yield first, stop - first, sizes[first], sizes[stop - 1]
        first = stop
