"""What code of users reads outside of its arguments is looked at, and nothing else."""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit._core.captured_state import CapturedState

t = 1.0  # a global by the name of an attribute that is read
SPACE = types.SimpleNamespace(t=1.0, unread=1.0)
TABLE = {"a": 1.0, "b": {"c": 1.0}}
LIST = [1.0, 2.0]
ARRAY = np.ones(3, "float32")
NUMBER = 1.0


class Config:
    k = 1.0
    unread = 1.0

    def __init__(self) -> None:
        self.own = 1.0

    @property
    def twice(self) -> float:
        return 2 * self.own

    def method(self, h: Any) -> Any:
        return h * self.k * NUMBER


CONFIG = Config()


def helper(h: Any) -> Any:
    return h * SPACE.t


def formula(h: Any) -> Any:
    c = CONFIG
    return [helper(h), c.method(h) * c.twice, TABLE["b"]["c"], LIST[0], h * ARRAY]


def around() -> tuple[Callable[[Any], Any], Callable[[float], None]]:
    k = 1.0

    def set_k(value: float) -> None:
        nonlocal k
        k = value

    return lambda h: h * k, set_k


FREE, SET_FREE = around()


def put(space: Any, name: str, value: object) -> Callable[[pytest.MonkeyPatch], None]:
    if isinstance(space, type | types.SimpleNamespace | Config):
        return lambda patch: patch.setattr(space, name, value)
    return lambda patch: patch.setitem(space, name, value)


CHANGES: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "a global of a function that is called": put(globals(), "NUMBER", 2.0),
    "a function": put(globals(), "helper", lambda h: h),
    "an attribute of an object": put(SPACE, "t", 2.0),
    "an attribute through a property": put(CONFIG, "own", 2.0),
    "an attribute of a class": put(Config, "k", 2.0),
    "an attribute in front of that of a class": put(CONFIG, "k", 2.0),
    "a method": put(Config, "method", lambda self, h: h),
    "an item deep in a dict": put(TABLE["b"], "c", 2.0),
    "an item of a list": lambda patch: LIST.__setitem__(0, 2.0),
    "a number in an array": lambda patch: ARRAY.__setitem__(1, 2.0),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_code_reads_is_looked_at(
    change: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = CapturedState([partial(formula)])
    assert seen
    assert seen.has_values
    assert seen.hold()
    change(monkeypatch)
    assert not seen.hold()
    monkeypatch.undo()
    LIST[0] = ARRAY[1] = 1.0
    assert seen.hold()


@pytest.mark.parametrize(
    "change",
    [
        put(SPACE, "unread", 2.0),
        put(globals(), "t", 2.0),
        put(Config, "unread", 2.0),
        put(SPACE, "t", float("1.0")),  # an equal number, another object
        put(globals(), "SET_FREE", None),
    ],
)
def test_what_it_does_not_read_does_not_count(
    change: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = CapturedState([formula])
    change(monkeypatch)
    assert seen.hold()


def test_variables_of_functions_around_it_count() -> None:
    seen = CapturedState([FREE])
    SET_FREE(2.0)
    assert not seen.hold()
    SET_FREE(1.0)
    assert seen.hold()


class Plain(keras.layers.Layer):
    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight(shape=(input_shape[-1], 2))

    def call(self, x: Any) -> Any:
        return keras.ops.matmul(x, self.w)


def test_layers_that_read_nothing_else_are_not_looked_at() -> None:
    dense = keras.layers.Dense(3, "relu")
    dense.build((None, 4))
    assert not CapturedState([dense])
    plain = Plain()
    plain(np.ones((2, 4), "float32"))
    assert not CapturedState([plain]).has_values


def counting() -> tuple[Callable[[Any], Any], list[int], dict[str, int]]:
    seen: list[int] = []
    counts = {"calls": 0}
    calls = 0

    def call(h: Any) -> Any:
        nonlocal calls
        calls += 1
        CONFIG.latest = h  # type: ignore[attr-defined]
        counts["calls"] += 1
        seen.append(calls)
        return h

    return call, seen, counts


def test_what_code_notes_itself_does_not_count() -> None:
    call, seen, counts = counting()
    captured = CapturedState([call])
    call(1)
    assert seen == [counts["calls"]] == [1]
    assert captured.hold()
