"""`fit_many` on JAX: networks of the same formula are trained by one compiled loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit.engines.jax import side_by_side

from .test_engine import compilations

ROWS = 22
X = np.linspace(-1, 1, 3 * ROWS, dtype="float32").reshape(ROWS, 3)
Y = X[:, :2] ** 2


def build(
    rate: Any = 0.1, units: int = 5, own: bool = False, engine: str = "jax", **more: Any
) -> Any:
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(units, "tanh", kernel_regularizer="l2"),
            keras.layers.Dropout(0.25),
            keras.layers.Dense(2, keras.ops.sin if own else None),
        ]
    )
    optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    model.compile(optimizer, "mse", metrics=["mae"], engine=engine, **more)
    return model


def results(model: Any) -> Any:
    weights = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
    return model.history.history, weights


def check(grid: list[dict[str, Any]], **fit: Any) -> None:
    """The same sweep on both engines; natively each has the bits it has alone."""
    sweeps = []
    for engine in ("native", "jax"):
        given = [{**point, "engine": engine} for point in grid]
        sweeps.append(keras.fit_many(build, given, X, Y, seeds=3, verbose=0, **fit))
        assert not sweeps[-1].errors
    for native, ours in zip(sweeps[0].models, sweeps[1].models, strict=True):
        both = keras.tree.flatten(results(native)), keras.tree.flatten(results(ours))
        for one, two in zip(*both, strict=True):
            np.testing.assert_allclose(two, one, rtol=2e-5, atol=2e-6)


def test_each_gets_what_it_gets_alone_by_one_compilation() -> None:
    """Three rates and seeds: orders and masks of their own."""
    grid = [{"rate": rate} for rate in (0.1, 0.05, 0.02)]
    with compilations() as names:
        check(grid, batch_size=5, epochs=2, validation_data=(X[:9], Y[:9]))
    assert names.count("_run") == 2  # training, validation


def test_other_formulas_and_rows_are_told_apart() -> None:
    """Two widths are two loops, one with a schedule; a function of the user's runs alone."""
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    grid = [{"units": 4}, {"units": 5}, {"units": 4}, {"units": 5, "rate": schedule}, {"own": True}]
    with compilations() as names:
        check(grid, batch_size=32, epochs=2)
    assert names.count("_run") == 4


def test_some_end_earlier() -> None:
    """Whose rate is next to nothing stops after its second epoch."""
    grid = [{"rate": rate} for rate in (0.1, 1e-6, 0.05)]
    stopping = keras.callbacks.EarlyStopping("loss", patience=0, min_delta=1e-2)
    check(grid, batch_size=5, epochs=3, early_stopping=stopping)


def test_what_goes_wrong_together_is_done_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(side_by_side, "_steps", broken)
    check([{"rate": 0.1}, {"rate": 0.05}], batch_size=5)
