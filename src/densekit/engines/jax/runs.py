"""What each dispatch of a loop takes, and how its rows are gathered."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import numpy as np

from densekit._core.engine import Chunk, Index
from densekit._core.types import Array
from densekit.engines.jax.columns import Layout
from densekit.engines.jax.placement import Part, Placement, rows_at
from densekit.engines.objective import Batch

BYTES = 1 << 24  # of the rows of one dispatch: a cache may hold them
_ELSEWHERE = 64  # so many times as much where memory is no cache's: few dispatches


class Run(NamedTuple):
    """Steps of one shape.

    Attributes:
        start: the first row of the chunk.
        rows: how many of them.
        steps: how many steps.
        size: rows of a step as it is compiled.
        full: how many of these count, in all steps but the last.
        last: how many in the last one.
    """

    start: int
    rows: int
    steps: int
    size: int
    full: int
    last: int


def runs_of(
    chunk: Chunk, pads: bool, placement: Placement | None, whole: bool = False
) -> list[Run]:
    """The runs of a chunk.

    Args:
        pads: whether a batch may be filled up with rows that do not count.
        whole: whether its rows lie on the device: then they fill no memory of a dispatch.
    """
    n, batch = chunk.rows, chunk.batch_size
    size = placement.fitting(batch) if placement is not None and pads else batch
    columns = [*chunk.inputs, *chunk.targets, *chunk.weights]
    row = sum(8 * math.prod(c.shape[1:]) for c in columns if c is not None)
    most = BYTES if jax.default_backend() == "cpu" else BYTES * _ELSEWHERE
    rest = n % batch
    steps = n // batch + (1 if rest and pads else 0)
    at_once = max(1, steps if whole else most // max(row * batch, 1))
    runs = []
    for first in range(0, steps, at_once):
        start = first * batch
        count = min(at_once, steps - first)
        left = min(n - start, count * batch)
        runs.append(Run(start, left, count, size, batch, left - (count - 1) * batch))
    if rest and not pads:
        runs.append(Run(n - rest, rest, 1, rest, rest, rest))
    return runs


def picks_of(chunk: Chunk, run: Run, capacity: int) -> Index:
    """Which rows of the columns make the steps of a run: ``(capacity, size)``.

    What lacks to a whole batch is filled up with its last row, whose numbers are harmless.

    Args:
        capacity: steps to make room for.
    """
    picks = chunk.picks[run.start : run.start + run.rows]
    lacking = run.steps * run.full - run.rows
    if lacking:
        picks = np.concatenate([picks, np.repeat(picks[-1:], lacking)])
    picks = picks.reshape(run.steps, run.full)
    if run.size > run.full:
        picks = np.concatenate([picks, np.repeat(picks[:, -1:], run.size - run.full, 1)], axis=1)
    if capacity > run.steps:
        unused = np.broadcast_to(picks[:1, :1], (capacity - run.steps, run.size))
        picks = np.concatenate([picks, unused])
    return picks


def gathered(chunk: Chunk, picks: Index, layout: Layout, placement: Placement | None) -> Batch:
    """The picked rows, in the shape of the picks and the types that definitions are handed."""

    def gather(column: Array | None, dtype: str) -> Array | jax.Array | None:
        if column is None:
            return None
        if placement is None:
            return rows_at(column, picks, dtype)
        shape = *picks.shape, *column.shape[1:]

        def rows(part: Part) -> Array:
            return rows_at(column, picks if part is None else picks[part[:2]], dtype)

        return placement.shared(shape, 1, rows)

    groups = layout.listed(chunk)
    return Batch(*([gather(column, dtype) for column, dtype in group] for group in groups))
