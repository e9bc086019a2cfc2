"""Chunks that processes bring, put together: here threads stand in for the processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import densekit
from densekit._core import settings
from densekit._core.engine import Chunk
from densekit.data._columns import Columns
from densekit.data._feeds import ArrayFeed
from densekit.training._joined import joined


class Meeting:
    """What `gathered` gives where each thread is a process."""

    has_whole_data = False

    def __init__(self, count: int) -> None:
        self._barrier = threading.Barrier(count, timeout=30)
        self._brought: list[Any] = [None] * count
        self.own = threading.local()

    def gathered(self, arrays: Sequence[Any]) -> list[list[Any]]:
        self._brought[self.own.number] = arrays
        self._barrier.wait()
        found = [list(parts) for parts in zip(*self._brought, strict=True)]
        self._barrier.wait()
        return found


@pytest.fixture
def meeting() -> Iterator[Meeting]:
    made = Meeting(3)
    settings.put("distribution", made)
    yield made
    settings.put("distribution", None)


@pytest.mark.parametrize("chunk_steps", [1, 2, 10])
def test_a_step_has_the_rows_of_all(meeting: Meeting, chunk_steps: int) -> None:
    counts, batch = (10, 7, 5), 4
    begins = np.cumsum([0, *counts])

    def steps(number: int) -> list[Any]:
        meeting.own.number = number
        rows = np.arange(begins[number], begins[number + 1])
        columns = Columns([rows[:, None] * 1.0], [rows.astype("int32"), None], [None, None])
        found = []
        for chunk in joined(ArrayFeed(columns, batch, None).chunks(chunk_steps), True):
            assert chunk.targets[1] is None and chunk.weights == [None, None]
            for step in chunk.single_steps():
                made = step.pick(step.targets[0])
                assert made is not None and made.dtype == "int32"
                np.testing.assert_array_equal(step.pick(step.inputs[0])[:, 0], made)
                found.append((step.first_step, made.tolist()))
        return found

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(steps, range(3)))
    # Rows 0 to 9 are of the first, up to 16 of the second, the others of the third.
    expected = [
        (0, [0, 1, 2, 3, 10, 11, 12, 13, 17, 18, 19, 20]),
        (1, [4, 5, 6, 7, 14, 15, 16, 21]),
        (2, [8, 9]),
    ]
    assert results == [expected] * 3


def test_nothing_changes_otherwise() -> None:
    chunks: Iterator[Chunk] = iter([])
    assert joined(chunks, False) is chunks


def test_own_steps_are_refused(meeting: Meeting) -> None:
    class Own(densekit.Sequential):
        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

    model = Own([densekit.Input((2,)), densekit.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="one with a step of its own"):
        model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
