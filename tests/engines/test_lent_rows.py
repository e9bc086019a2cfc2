"""Copies that are lent to definitions: memory is used again only if nobody kept it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import ops
from densekit.engines.lent_rows import LentRows

FLOAT = np.dtype("float32")


def rows(value: float, n: int = 1 << 17) -> Any:
    return np.full((n, 1), value, "float32")


def place(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


@pytest.mark.parametrize("part", [lambda x: x, lambda x: x[3:], lambda x: ops.reshape(x, (-1,))])
def test_what_was_kept_is_not_overwritten(part: Any) -> None:
    lent = LentRows()
    first = part(lent.lend(0, rows(1.0), FLOAT))
    second = lent.lend(0, rows(2.0), FLOAT)
    assert np.all(first == 1.0)
    assert np.all(second == 2.0)


def test_memory_that_nobody_kept_is_used_again() -> None:
    lent = LentRows()
    places = {place(lent.lend(0, rows(value), FLOAT)) for value in range(5)}
    assert len(places) == 1
    other = lent.lend(1, rows(1.0), FLOAT)
    assert place(other) not in places
    assert lent.lend(0, rows(1.0, 1 << 16), FLOAT).shape == (1 << 16, 1)
    assert lent.lend(0, rows(1.0), np.dtype("float64")).dtype == np.float64


def test_threads_do_not_share_memory() -> None:
    lent, wrong = LentRows(), []

    def work(value: float) -> None:
        for _ in range(50):
            mine = lent.lend(0, rows(value), FLOAT)
            if not np.all(mine == value):
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(float(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_layer_that_gives_or_keeps_its_input() -> None:
    kept: list[Any] = []

    def keep(x: Any) -> Any:
        if isinstance(x, np.ndarray) and len(x) == 4096:
            kept.append(x[:1])
            return x
        return ops.sinc(x)  # which is not followed, so that each call comes here

    model = keras.Sequential([keras.Input((64,)), keras.layers.Lambda(keep)])
    for value in range(3):
        x = np.full((4096, 64), value, "float32")
        np.testing.assert_equal(model.predict(x, verbose=0), x)
    assert {float(x[0, 0]) for x in kept} == {0.0, 1.0, 2.0}
