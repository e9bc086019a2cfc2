"""Ops on boxes that wait are noted by the core, as the methods in Python note them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from time import sleep
from typing import Any

import numpy as np
import pytest
from tests.training.test_formulas import FORMULAS, OTHERS, ROWS, X, forget, network

import densekit as keras
from densekit import ops
from densekit.engines import notes
from densekit.engines.notes import note_natively
from densekit.ops._deferred import DeferredBox, Formula
from densekit.ops._formula_steps import SLOTS, Step

# What is left to Python each time: `array - box` comes in by NumPy's ufuncs, and an op whose result
# is no box is computed at once.
BY_PYTHON = ("from the other side", "stopped")


@pytest.fixture(autouse=True)
def nothing_met() -> None:
    forget()  # so that there is room for every formula


def end_of(model: Any, formula: Callable[[Any], Any]) -> tuple[Step, dict[int, Any]]:
    """Where a formula ends in the tree, and the arrays that went in."""
    with keras.GradientTape():
        noted = formula(model(X, training=True))._formula
    return noted.step, {place: np.array(v) for place, v in noted.values.items()}


@pytest.mark.parametrize("name", [*FORMULAS, *OTHERS])
def test_the_core_notes_what_python_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, formula = network(), {**FORMULAS, **OTHERS}[name]
    waits = name in FORMULAS
    for _ in range(2):
        with keras.GradientTape():
            formula(model(X, training=True))
    if not waits:
        return
    by_core, arrays = end_of(model, formula)
    for method, in_python in note_natively().items():
        monkeypatch.setattr(DeferredBox, method, in_python)
    by_python, expected = end_of(model, formula)
    assert by_core is by_python
    assert arrays.keys() == expected.keys()
    assert all(np.array_equal(arrays[place], expected[place]) for place in arrays)


@pytest.mark.parametrize("name", [n for n in FORMULAS if n not in BY_PYTHON])
def test_a_formula_that_was_met_is_noted_without_python(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, met = network(), []
    for _ in range(2):
        end_of(model, FORMULAS[name])
    note = Formula.note

    def counted(self: Formula, key: Any, *rest: Any) -> Any:
        if key[0] != "loss":
            met.append(key)
        return note(self, key, *rest)

    monkeypatch.setattr(Formula, "note", counted)
    end_of(model, FORMULAS[name])
    assert not met
    end_of(model, lambda y: FORMULAS[name](y) * 1.25)
    assert met[0][:1] == ("mul",)


def test_what_looks_alike_is_told_apart() -> None:
    model = network()
    numbers = (0.0, -0.0, 0, 1, 1.0, True, 2.5)
    axes: tuple[Any, ...] = (None, -1, (1,), (0, 1))

    def by_number(k: Any) -> Any:
        return lambda y: ops.sum(ops.multiply(y, k))

    def by_axis(axis: Any) -> Any:
        return lambda y: ops.sum(ops.sum(y, axis=axis))

    def by_index(index: Any) -> Any:
        return lambda y: ops.sum(y[index])

    indices: tuple[Any, ...] = (0, 1, (slice(None), 0), (slice(0, 2), 0), (0, slice(None)))
    indices += ((None, 0), (..., 0), (slice(None, None, 2), 1), slice(2), -1)
    for formulas in (
        [by_number(k) for k in numbers],
        [by_axis(axis) for axis in axes],
        [by_index(index) for index in indices],
    ):
        ends = []
        for formula in formulas:
            for _ in range(2):
                with keras.GradientTape():
                    loss = formula(model(X, training=True))
                    value = float(loss.numpy())
            expected = float(formula(np.asarray(model(X))))
            np.testing.assert_allclose(value, expected, rtol=1e-5, equal_nan=True)
            ends.append(loss._step if type(loss) is DeferredBox else object())
        assert len(set(map(id, ends))) == len(formulas)


def test_arrays_that_go_in_are_copied_and_shapes_count() -> None:
    model = network()

    def step(factor: Any, change: bool = False) -> float:
        with keras.GradientTape() as tape:
            y = model(X, training=True)
            product = y * factor
            if change:
                factor *= 3  # what is the user's may change as soon as it was used
            loss = ops.sum(ops.multiply(product, factor))
            if change:
                factor *= 0
        return float(tape.gradient(loss, model.trainable_variables)[-1].sum())

    for _ in range(3):
        assert step(np.ones((ROWS, 2), "float32"), change=True) == 3 * 2 * ROWS
    for shape in ((1, 2), (ROWS, 1), (2,), (ROWS, 2)):
        for dtype in ("float32", "float64"):
            for _ in range(2):
                assert step(np.full(shape, 2, dtype)) == 4 * 2 * ROWS


def test_errors_of_operands_come_at_their_line() -> None:
    model = network()
    for _ in range(2):
        with keras.GradientTape():
            y = model(X, training=True)
            good = y + 1.0
            with pytest.raises(TypeError):
                y + "1"
            with pytest.raises((ValueError, TypeError)):
                y * np.ones((3, 3, 3, 5))
            with pytest.raises(IndexError):
                y[:, 7]
            assert float((good - y).numpy().mean()) == pytest.approx(1.0)


def test_no_object_is_kept_or_lost() -> None:
    """References are counted by hand there: a million ops leave none behind."""
    import sys

    model = network()
    factor, key = np.ones((ROWS, 2), "float32"), SLOTS[0]

    def counts() -> list[int]:
        step = Step(None, (), 0, (), None)
        objects = [model, factor, key, None, step.next, ops.sum, 1.5, np.dtype("float32")]
        return [sys.getrefcount(one) for one in objects[:3]] + [sys.getrefcount(ops.sum)]

    def run() -> None:
        with keras.GradientTape():
            y = model(X, training=True)
            for _ in range(8):
                truth = y * factor > 0.5
                y = -ops.where(truth, y[:, :2], abs(y) / 1.5)
            ops.sum(y, axis=-1)

    for _ in range(3):
        run()
    before = counts()
    for _ in range(50):
        run()
    assert [n - m for n, m in zip(counts(), before, strict=True)] == [0, 0, 0, 0]


def test_first_tapes_of_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, calls = Barrier(4), []

    def quicken(*_: object) -> dict[str, Any]:
        calls.append(1)
        sleep(0.01)  # meanwhile the others come
        return {}

    def first() -> dict[str, Any]:
        begun.wait()
        return dict(notes.note_natively())

    monkeypatch.setattr(notes, "quicken", quicken)
    monkeypatch.setattr(notes, "_quickened", cache(notes._quickened.__wrapped__))
    with ThreadPoolExecutor(4) as pool:
        assert [run.result() for run in [pool.submit(first) for _ in range(4)]] == [{}] * 4
    assert len(calls) == 1
