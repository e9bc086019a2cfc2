"""`fit_many`: grids, seeds, members that fail or cannot go side by side, and what it returns."""

from __future__ import annotations

import math
import os
import random
import signal
import sys
import threading
import time
import warnings
from typing import Any

import numpy as np
import pytest

import densekit as keras

pytestmark = pytest.mark.usefixtures("native_engine")

X = np.linspace(-1, 1, 120).reshape(40, 3).astype("float32")
Y = X.sum(axis=1)


def dense(rate: float = 0.1, units: int = 4) -> Any:
    layers = [keras.Input((3,)), keras.layers.Dense(units, "relu"), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(rate), "mse", metrics=["mae"])
    return model


def fit_many(build: Any, grid: Any, **more: Any) -> keras.sweeps.Sweep:
    return keras.fit_many(build, grid, X, Y, **{"epochs": 2, "verbose": 0, **more})


def test_a_grid_is_a_product_or_a_list() -> None:
    product = fit_many(dense, {"rate": [0.1, 0.2], "units": (2, 3)})
    assert product.points == [
        {"rate": rate, "units": units} for rate in (0.1, 0.2) for units in (2, 3)
    ]
    listed = fit_many(dense, iter([{"rate": 0.1}, {}]))
    assert listed.points == [{"rate": 0.1}, {}]
    assert len(listed) == 2 and "2 models" in repr(listed)


@pytest.mark.parametrize("grid", [{}, {"rate": []}, [], {"rate": 0.1}, {"rate": "ab"}, [1], 3])
def test_a_grid_that_is_none(grid: Any) -> None:
    if grid == {}:
        assert len(fit_many(dense, grid)) == 1  # the product of nothing: one point
        return
    with pytest.raises(ValueError, match=r"fit_many `grid`"):
        fit_many(dense, grid)


def test_seeds() -> None:
    grid = [{}, {}]
    counted = fit_many(dense, grid, seeds=3)
    assert counted.seeds == [3, 4] == fit_many(dense, grid, seeds=[3, 4]).seeds
    first: Any = counted.models[0]
    again: Any = fit_many(dense, grid, seeds=np.array([9, 3])).models[1]
    np.testing.assert_array_equal(first.get_weights()[0], again.get_weights()[0])
    for wrong in ([1], "ab", 1.5, [True, False]):
        with pytest.raises(ValueError, match="fit_many `seeds`"):
            fit_many(dense, grid, seeds=wrong)


def test_seeds_leave_the_random_state_of_the_caller() -> None:
    keras.utils.set_random_seed(5)
    expected = random.random(), np.random.rand(), keras.random.SeedGenerator().next().tolist()
    keras.utils.set_random_seed(5)
    fit_many(dense, [{}, {}], seeds=0)
    found = random.random(), np.random.rand(), keras.random.SeedGenerator().next().tolist()
    assert found == expected


def test_without_seeds_members_draw_as_in_a_loop() -> None:
    keras.utils.set_random_seed(5)
    sweep = fit_many(dense, {"units": [3, 4, 5]})
    keras.utils.set_random_seed(5)
    for ours, units in zip(sweep.models, [3, 4, 5], strict=True):
        model = dense(units=units)
        model.fit(X, Y, epochs=2, verbose=0)
        for a, b in zip(ours.get_weights(), model.get_weights(), strict=True):  # type: ignore[union-attr]
            np.testing.assert_array_equal(a, b)


def test_a_member_that_fails_or_diverges_harms_no_other() -> None:
    def build(rate: float, breaks: str = "") -> Any:
        if breaks == "build":
            raise KeyError("no such thing")
        model = dense(rate)
        if breaks == "fit":
            model.compile("sgd", "sparse_categorical_crossentropy")
        return None if breaks == "returns" else model

    points: list[dict[str, Any]] = [{"rate": 0.1}, {"rate": 1e20}]
    points += [{"rate": 0.1, "breaks": how} for how in ("build", "fit", "returns")]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        sweep = fit_many(build, points, seeds=[1, 2, 3, 4, 5], epochs=30)
    texts = [str(one.message) for one in said]
    assert len(texts) == 2, texts
    assert "3 of 5 members failed" in texts[0] and "not finite: 1." in texts[1]
    assert sorted(sweep.errors) == [2, 3, 4]
    assert isinstance(sweep.errors[2], KeyError) and "compiled model" in str(sweep.errors[4])
    assert sweep.models[2] is None and sweep.models[3] is not None
    alone = fit_many(build, [{"rate": 0.1}], seeds=[1], epochs=30)
    np.testing.assert_array_equal(
        sweep.models[0].get_weights()[0],  # type: ignore[union-attr]
        alone.models[0].get_weights()[0],  # type: ignore[union-attr]
    )
    assert sweep.best("loss") is sweep.models[0]
    assert "KeyError" in str(sweep.columns["error"][2]) and sweep.columns["error"][0] is None


def test_if_all_fail_the_first_error_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        fit_many(lambda rate: 1 // 0, {"rate": [1, 2]})


def test_the_table_and_the_best() -> None:
    sweep = fit_many(dense, {"rate": [0.1, 1e-6]}, seeds=0, validation_split=0.25, epochs=5)
    columns = sweep.columns
    assert list(columns) == ["rate", "seed", "epochs", "loss", "mae", "val_loss", "val_mae"]
    assert columns["rate"] == [0.1, 1e-6] and columns["epochs"] == [5, 5]
    assert list(sweep.table.columns) == list(columns)  # type: ignore[attr-defined]
    assert sweep.best() is sweep.models[0] is sweep.best("mae")
    assert sweep.best("mae", mode="max") is sweep.models[1]
    assert sweep.best_index("val_mae") == 0
    for wrong in ("val_accuracy", "loss of all"):
        with pytest.raises(ValueError, match=r"Sweep\.best: expected a monitor"):
            sweep.best(wrong)
    with pytest.raises(ValueError, match="a mode of"):
        sweep.best("loss", mode="up")


def test_without_pandas_the_table_is_a_dict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    sweep = fit_many(dense, [{}])
    assert sweep.table == sweep.columns


def test_patience_watches_the_validation_loss() -> None:
    validation = X[:8], -Y[:8]
    sweep = fit_many(dense, {"rate": [0.2, 0.1]}, validation_data=validation, patience=0, epochs=9)
    assert all(0 < int(str(n)) < 9 for n in sweep.columns["epochs"])
    with pytest.raises(ValueError, match="`early_stopping` or `patience`"):
        fit_many(dense, [{}], patience=1, early_stopping=keras.callbacks.EarlyStopping())


class OwnStep(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


class OwnFit(OwnStep):
    def fit(self, *args: Any, **kwargs: Any) -> Any:
        return super().fit(*args, **kwargs)


def test_members_that_run_one_after_another_are_said() -> None:
    batches: list[int] = []

    def build(kind: str) -> Any:
        if kind == "plain":
            return dense()
        if kind == "host":
            keras_layers = [keras.Input((3,)), keras.layers.Lambda(np.tanh), keras.layers.Dense(1)]
            model: Any = keras.Sequential(keras_layers)
        else:
            model = OwnFit() if kind == "fit" else OwnStep()
        model.compile("sgd", "mse")
        return model

    grid = {"kind": ["plain", "step", "fit", "host", "plain"]}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        sweep = fit_many(build, grid, seeds=0)
    text = " ".join(str(one.message) for one in said)
    assert len(said) == 3 and not sweep.errors
    assert "OwnStep has steps of its own" in text and "OwnFit has a `fit` of its own" in text
    assert "run in Python" in text
    assert all(math.isfinite(float(str(loss))) for loss in sweep.columns["loss"])

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            batches.append(batch)

    def look(**point: Any) -> list[keras.callbacks.Callback]:
        return [Look()] if point["rate"] == 0.1 else []

    with pytest.warns(UserWarning, match="1 of 2 members .* a callback looks at every batch"):
        fit_many(dense, {"rate": [0.1, 0.2]}, callbacks=look, batch_size=20)
    assert batches == [0, 1, 0, 1]


def test_members_that_share_layers_wait_for_each_other() -> None:
    shared = keras.layers.Dense(4, "relu")

    def build(rate: float) -> Any:
        model = keras.Sequential([keras.Input((3,)), shared, keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(rate), "mse")
        return model

    shared.build((None, 3))
    start = [w.copy() for w in shared.get_weights()]
    sweep = fit_many(build, {"rate": [0.1, 0.2]}, seeds=0)
    trained = shared.get_weights()
    shared.set_weights(start)
    for i, rate in enumerate([0.1, 0.2]):
        keras.utils.set_random_seed(i)
        build(rate).fit(X, Y, epochs=2, verbose=0)
    np.testing.assert_array_equal(shared.get_weights()[0], trained[0])
    assert not sweep.errors


@pytest.mark.parametrize("shared", ["metric", "callback"])
def test_members_that_share_what_keeps_numbers_wait_for_each_other(shared: str) -> None:
    def sharing() -> tuple[Any, Any]:
        metric = keras.metrics.MeanAbsoluteError(name="mae")
        stopping = keras.callbacks.EarlyStopping(monitor="loss", patience=0)

        def build(rate: float) -> Any:
            model = dense(rate)
            if shared == "metric":
                model.compile(keras.optimizers.SGD(rate), "mse", metrics=[metric])
            return model

        return build, (lambda rate: [stopping]) if shared == "callback" else None

    rates = [0.1, 0.9, 0.01]
    build, callbacks = sharing()
    sweep = fit_many(build, {"rate": rates}, seeds=0, epochs=6, callbacks=callbacks)
    build, callbacks = sharing()
    for i, rate in enumerate(rates):
        keras.utils.set_random_seed(i)
        own = callbacks(rate) if callbacks else None
        alone = build(rate).fit(X, Y, epochs=6, verbose=0, callbacks=own)
        found: Any = sweep.histories[i]
        assert found.history == alone.history


def test_streams_are_refused() -> None:
    with pytest.raises(ValueError, match="fit_many `x`: expected arrays"):
        keras.fit_many(dense, [{}], ((X, Y) for _ in range(3)))


def test_an_interrupt_ends_the_sweep_and_frees_the_models() -> None:
    built: list[Any] = []

    def build() -> Any:
        built.append(dense())
        return built[-1]

    def interrupt(**point: Any) -> list[keras.callbacks.Callback]:
        def stop(epoch: int, logs: Any) -> None:
            if len(built) == 2 and epoch == 3:
                raise KeyboardInterrupt

        return [keras.callbacks.LambdaCallback(on_epoch_end=stop)]

    with pytest.raises(KeyboardInterrupt):
        fit_many(build, [{}, {}], callbacks=interrupt, epochs=9)
    for model in built:
        assert not model._dk_runtime.turns.is_owned
        model.fit(X, Y, verbose=0)


def test_the_bar_counts_members(capsys: pytest.CaptureFixture[str]) -> None:
    fit_many(dense, [{}, {}, {}], verbose=1)
    assert "3/3" in capsys.readouterr().out


def test_rows_that_are_none() -> None:
    for wrong in ([[0]], [[0, 40], [1]], [[-1], [1]], [[], [1]], [[0.5], [1]], "ab", 3):
        with pytest.raises(ValueError, match="fit_many `rows`"):
            fit_many(dense, [{}, {}], rows=wrong)
    with pytest.raises(ValueError, match="fit_many `x`: expected arrays"):
        keras.fit_many(dense, [{}], X.tolist(), Y, rows=[[1]])
    assert len(fit_many(dense, [{}, {}], rows=np.arange(5), validation_rows=np.arange(5, 9))) == 2
    with pytest.raises(ValueError, match="`validation_rows`"):
        fit_many(dense, [{}], rows=[[1]], validation_split=0.5)
    with pytest.raises(ValueError, match="`validation_rows` or `validation_data`"):
        fit_many(dense, [{}], validation_rows=[[1]], validation_data=(X, Y))


def test_members_read_the_rows_where_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    from densekit.engines.side_by_side import NativeQueue

    submitted = NativeQueue.submit
    seen: list[Any] = []

    def submit(self: Any, run: Any) -> None:
        seen.append(run.chunk.inputs[0])
        submitted(self, run)

    monkeypatch.setattr(NativeQueue, "submit", submit)
    threads = keras.config.threads()
    keras.config.set_threads(2)
    try:
        fit_many(dense, [{}, {}], rows=[np.arange(9), np.arange(9, 20)])
    finally:
        keras.config.set_threads(threads)
    assert len(seen) == 4 and all(np.shares_memory(x, X) for x in seen)


def test_ctrl_c_ends_runs_under_way() -> None:
    x = np.zeros((200_000, 3), "float32")
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        keras.fit_many(dense, [{}, {}], x, x[:, 0], epochs=10_000, batch_size=2, verbose=0)
    assert time.monotonic() - start < 30
