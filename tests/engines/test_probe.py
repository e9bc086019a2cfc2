"""What trying a function tells: whether rows of a batch depend on each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import densekit as keras
from densekit import ops
from densekit.engines.probe import probe

MIXING: dict[str, Callable[[Any], Any]] = {
    "values": lambda x: x - ops.mean(x, axis=0),
    "larger than the mean": lambda x: ops.where(x > ops.mean(x, axis=0), x, ops.tanh(x)),
    "small values": lambda x: 1e-6 * (x - ops.mean(x, axis=0)),
    "rows before": lambda x: ops.cumsum(x, axis=0),
    "places": lambda x: x + keras.random.uniform(ops.shape(x), seed=5),
    "number of rows": lambda x: x * ops.shape(x)[0],
    "share of truths": lambda x: x * ops.mean(ops.cast(x > 0, "float32"), axis=0),
    "positive numbers": lambda x: x * ops.mean(positive(x), axis=0),
}


def positive(x: Any) -> Any:
    if hasattr(x, "min") and x.min() < 0:
        raise ValueError("it takes positive numbers")
    return x


@pytest.mark.parametrize("name", MIXING)
def test_rows_that_depend_on_others(name: str) -> None:
    assert probe(MIXING[name], [((None, 3), "float32")]).mixes_rows


def test_rows_that_do_not() -> None:
    def call(x: Any) -> Any:
        return ops.softmax(x) * ops.sum(x, axis=-1, keepdims=True)

    assert not probe(call, [((None, 3), "float32")]).mixes_rows
