"""Formulas on tapes that mix rows: by native programs, the numbers of their ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import ops
from densekit.engines import whole_formulas
from densekit.ops._gradient import value_and_vjp

from .losses_of_batches import (
    contrastive,
    hardest_triplet,
    neighbours,
    ranking,
    similarities,
    vicreg,
)  # fmt: skip


def centred(y_true: Any, y_pred: Any) -> Any:
    """A number of the batch meets rows again."""
    return ops.mean(ops.square(y_pred - ops.mean(y_pred)), axis=1)


def picked(y_true: Any, y_pred: Any) -> Any:
    logits = similarities(y_pred)
    others = np.roll(np.arange(y_pred.shape[0]), 1)[:, None]
    return ops.logsumexp(logits, axis=1) - ops.take_along_axis(logits, others, axis=1)[:, 0]


FORMULAS: dict[str, Callable[[Any, Any], Any]] = {
    f.__name__: f
    for f in (contrastive, hardest_triplet, neighbours, ranking, vicreg, centred, picked)
}


def network(dtype: str) -> Any:
    keras.utils.set_random_seed(5)
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(6, "tanh", dtype=dtype),
         keras.layers.Dense(3, dtype=dtype)]
    )  # fmt: skip


def slopes_of(model: Any, formula: Any, x: Any, y: Any) -> list[Any]:
    with keras.GradientTape() as tape:
        loss = ops.mean(formula(y, model(x, training=True)))
    gradients = tape.gradient(loss, model.trainable_variables)
    return [float(loss), *map(np.asarray, gradients)]


def by_ops(model: Any, formula: Any, x: Any, y: Any) -> list[Any]:
    """The same, op by op: the slopes of the outputs, taken through the layers by hand."""
    hidden = np.asarray(model.layers[0](x))
    outputs = np.asarray(model.layers[1](hidden))
    loss, back = value_and_vjp(lambda z: ops.mean(formula(y, z)), [outputs])
    (slope,) = map(np.asarray, back(np.ones((), outputs.dtype)))
    into = slope @ np.asarray(model.layers[1].kernel).T * (1 - hidden**2)
    return [float(loss), x.T @ into, into.sum(0), hidden.T @ slope, slope.sum(0)]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    made: list[int] = []
    run = whole_formulas.WholeFormula.run

    def noted(self: Any, *given: Any) -> Any:
        made.append(len(self._inputs))
        return run(self, *given)

    monkeypatch.setattr(whole_formulas.WholeFormula, "run", noted)
    return made


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FORMULAS)
def test_programs_give_the_slopes_of_the_ops(name: str, dtype: str, runs: list[int]) -> None:
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((8, 4)).astype(dtype), rng.integers(0, 3, 8)
    model, formula = network(dtype), FORMULAS[name]
    tolerance = 2e-5 if dtype == "float32" else 1e-11
    for rows in (x, x[::-1] * 0.5):
        wanted = by_ops(model, formula, rows, y)
        for _ in range(2):
            for mine, right in zip(slopes_of(model, formula, rows, y), wanted, strict=True):
                np.testing.assert_allclose(mine, right, rtol=tolerance, atol=tolerance)
    assert len(runs) == 4


def test_parts_may_be_looked_at(runs: list[int]) -> None:
    x, y = np.random.default_rng(4).standard_normal((8, 4)).astype("float32"), np.arange(8) % 3
    model = network("float32")
    found = []
    for _ in range(3):
        with keras.GradientTape() as tape:
            z = model(x, training=True)
            first, second = ops.mean(contrastive(y, z)), ops.mean(vicreg(y, z))
            total = first + 0.5 * second
        slopes = tape.gradient(total, model.trainable_variables)
        assert float(total) == pytest.approx(float(first) + 0.5 * float(second), rel=1e-5)
        found.append([np.asarray(s) for s in slopes])
    for one, other in zip(found[0], found[-1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_slopes_of_slopes_go_by_ops() -> None:
    model = network("float64")
    x = np.random.default_rng(5).standard_normal((6, 4))
    found = []
    for _ in range(2):
        with keras.GradientTape() as outer:
            with keras.GradientTape() as inner:
                loss = ops.mean(neighbours(None, model(x, training=True)))
            slopes = inner.gradient(loss, model.trainable_variables)
            norm = sum(ops.sum(ops.square(s)) for s in slopes)
        found.append([np.asarray(s) for s in outer.gradient(norm, model.trainable_variables)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10)
    assert any(np.abs(s).max() > 0 for s in found[0])
