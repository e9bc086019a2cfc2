"""The JAX engine: what it compiles, and that the same fit gives the same as natively."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
import pytest

import densekit as keras
from densekit.engines.jax import engine as engine_file
from densekit.engines.jax import resident, runs

X = np.linspace(-1, 1, 66, dtype="float32").reshape(22, 3)
Y = X[:, :2] ** 2


def small(dropout: float = 0.25) -> Any:
    keras.utils.set_random_seed(5)
    return keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(8, "tanh"),
            keras.layers.Dropout(dropout, seed=3),
            keras.layers.Dense(2),
        ]
    )


@contextmanager
def compilations() -> Iterator[list[str]]:
    """The names of the functions that XLA compiles inside."""
    names: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if "Finished XLA compilation" in text:
                names.append(text.split("jit(")[1].split(")")[0])

    handler, logger = Handler(), logging.getLogger("jax._src.dispatch")
    with jax.log_compiles(True):
        logger.addHandler(handler)
        before, logger.propagate = logger.propagate, False
        try:
            yield names
        finally:
            logger.removeHandler(handler)
            logger.propagate = before


def weights(model: Any) -> list[Any]:
    return [v.numpy() for v in (*model.variables, *model.optimizer.variables)]


def same(ours: Any, theirs: Any, tolerance: float = 2e-5) -> None:
    for one, two in zip(keras.tree.flatten(ours), keras.tree.flatten(theirs), strict=True):
        np.testing.assert_allclose(two, one, rtol=tolerance, atol=tolerance)


def on_both(run: Callable[[str], Any]) -> tuple[Any, Any]:
    return run("native"), run("jax")


def test_a_fit_with_a_short_last_batch_is_one_compilation() -> None:
    model = small()
    model.compile("adam", "mse", metrics=["mae"], engine="jax")
    with compilations() as names:
        model.fit(X, Y, batch_size=5, epochs=3, verbose=0)
    assert names.count("_run") == 1
    with compilations() as names:
        model.fit(X[:18], Y[:18], batch_size=5, verbose=0)
    assert names.count("_run") == 0


def test_short_last_batches_count_as_natively() -> None:
    weight = np.linspace(0.5, 2, len(X)).astype("float32")

    def run(engine: str) -> Any:
        model = small()
        losses = keras.losses.MeanSquaredError(reduction="sum")
        model.compile("sgd", losses, weighted_metrics=["mae"], engine=engine)
        history = model.fit(X, Y, sample_weight=weight, batch_size=5, epochs=2, verbose=0).history
        return history, weights(model), model.evaluate(X, Y, batch_size=4, verbose=0)

    same(*on_both(run))


def test_short_last_batches_count_to_float64() -> None:
    keras.config.set_floatx("float64")
    x, y = X.astype("float64")[:11], Y.astype("float64")[:11]

    def run(engine: str) -> Any:
        model = small()
        model.compile("sgd", "mse", engine=engine)
        history = model.fit(x, y, batch_size=4, verbose=0).history  # 4 / 3 has no end
        return history, weights(model), model.evaluate(x, y, batch_size=4, verbose=0)

    try:
        same(*on_both(run), tolerance=1e-13)
    finally:
        keras.config.set_floatx("float32")


@pytest.mark.parametrize("loss", ["mse", "binary_focal_crossentropy", "cosine_similarity"])
def test_what_looks_over_the_batch_is_compiled_for_each_size(loss: str) -> None:
    def run(engine: str) -> Any:
        keras.utils.set_random_seed(5)
        model = keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(8),
                keras.layers.BatchNormalization(),
                keras.layers.Dense(2, "sigmoid", activity_regularizer="l2"),
            ]
        )
        model.compile("sgd", loss, engine=engine)
        history = model.fit(X, Y, batch_size=5, epochs=2, verbose=0).history
        return history, weights(model), model.evaluate(X, Y, batch_size=4, verbose=0)

    same(*on_both(run))


def test_evaluation_of_what_looks_over_the_batch_in_training_alone_is_one_compilation() -> None:
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.BatchNormalization(), keras.layers.Dense(2)]
    )
    model.compile("sgd", "mse", engine="jax")
    with compilations() as names:
        model.evaluate(X, Y, batch_size=4, verbose=0)
        model.evaluate(X[:18], Y[:18], batch_size=4, verbose=0)
    assert names.count("_run") == 1


def test_chunks_of_several_dispatches(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(engine: str) -> Any:
        model = small()
        rate = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
        model.compile(
            keras.optimizers.SGD(rate, momentum=0.9), "mse", metrics=["mae"], engine=engine
        )
        history = model.fit(X, Y, batch_size=3, epochs=2, verbose=0).history
        return history, weights(model)

    monkeypatch.setattr(resident, "room", lambda: 0)
    monkeypatch.setattr(runs, "BYTES", 400)
    same(*on_both(run))


def test_callbacks_and_resumption(tmp_path: Any) -> None:
    """A rate that a callback sets, early stopping, a checkpoint: then the other engine goes on."""

    def run(engine: str, other: str) -> Any:
        model = small()
        model.compile("adam", "mse", metrics=["mae"], engine=engine)
        path = str(tmp_path / "model.keras")
        model.fit(
            X,
            Y,
            batch_size=5,
            epochs=3,
            validation_split=0.2,
            verbose=0,
            callbacks=[
                keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2),
                keras.callbacks.EarlyStopping(patience=1),
                keras.callbacks.ModelCheckpoint(path),
            ],
        )
        resumed = keras.models.load_model(path)
        resumed.compile(resumed.optimizer, "mse", metrics=["mae"], engine=other)
        history = resumed.fit(X, Y, batch_size=5, epochs=5, initial_epoch=3, verbose=0).history
        return model.history.history, history, weights(resumed)

    results = [run(*engines) for engines in (("native", "jax"), ("jax", "native"))]
    same(*results)


def test_batch_hooks_see_the_weights_of_their_step() -> None:
    def run(engine: str) -> Any:
        model, seen = small(), []
        model.compile("sgd", "mse", engine=engine)

        class Look(keras.callbacks.Callback):
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                seen.append((logs["loss"], model.layers[0].kernel.numpy()))

        model.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[Look()])
        return seen

    same(*on_both(run))


def test_streams() -> None:
    def run(engine: str) -> Any:
        model = small()
        model.compile("sgd", "mse", engine=engine)
        batches = [(X[i : i + 6], Y[i : i + 6]) for i in range(0, 22, 6)]
        return model.fit(iter(batches), steps_per_epoch=4, verbose=0).history, weights(model)

    same(*on_both(run))


def test_predictions_of_any_number_of_rows_share_compilations() -> None:
    model = small()
    expected = model.predict(X, verbose=0)
    model.compile("sgd", "mse", engine="jax")
    with compilations() as names:
        for n in (1, 3, 9, 10, 16, 22):
            same(model.predict(X[:n], verbose=0), expected[:n])
    assert names.count("_call") == 4  # 1, 4, 16 and 32 rows


def test_a_rate_that_python_computes() -> None:
    """A callable is asked for each step: what a trace would see only once."""

    def run(engine: str) -> Any:
        model = small()
        optimizer = keras.optimizers.Adam(lambda: 0.1 / (1.0 + float(optimizer.iterations)))
        model.compile(optimizer, "mse", engine=engine)
        return model.fit(X, Y, batch_size=5, epochs=2, verbose=0).history, weights(model)

    same(*on_both(run))


def test_draws_of_users_are_the_same_numbers() -> None:
    class Sampling(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.generator = keras.random.SeedGenerator(7)

        def call(self, x: Any) -> Any:
            noise = keras.random.normal(x.shape, seed=self.generator)
            return x + noise * keras.random.uniform((), seed=self.generator)

    def run(engine: str) -> Any:
        keras.utils.set_random_seed(5)
        model = keras.Sequential([keras.Input((3,)), Sampling(), keras.layers.Dense(2)])
        model.compile("sgd", "mse", engine=engine)
        history = model.fit(X, Y, batch_size=11, epochs=2, verbose=0).history
        return history, weights(model)

    same(*on_both(run))


def test_variables_outside_of_the_model_are_read_anew() -> None:
    factor = keras.Variable(1.0, name="factor")

    def loss(y_true: Any, y_pred: Any) -> Any:
        return factor * keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)

    model = small(0.0)
    model.compile("sgd", loss, engine="jax")
    first = model.evaluate(X, Y, verbose=0)
    factor.assign(3.0)
    same(model.evaluate(X, Y, verbose=0), 3 * first)


@pytest.mark.parametrize("fits", [True, False])
def test_definitions_are_traced_once(fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not fits:
        monkeypatch.setattr(resident, "room", lambda: 0)
    calls = []

    def loss(y_true: Any, y_pred: Any) -> Any:
        if isinstance(y_pred, jax.core.Tracer):
            calls.append(y_pred.shape)
        return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)

    model = small()
    model.compile("sgd", loss, engine="jax")
    model.fit(X[:20], Y[:20], batch_size=5, epochs=2, verbose=0)
    model.fit(X[:15], Y[:15], batch_size=5, verbose=0)
    assert calls == [(5, 2)]


def test_an_error_leaves_the_weights_of_the_steps_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dispatches before the one that fails count, and so do their steps."""
    model = small(0.0)
    monkeypatch.setattr(resident, "room", lambda: 0)
    monkeypatch.setattr(runs, "BYTES", 400)

    model.compile(keras.optimizers.SGD(0.1), "mse", engine="jax")
    picks_of, calls = engine_file.picks_of, []

    def broken(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 3:  # the first shows the types
            raise RuntimeError("broken")
        return picks_of(*given)

    monkeypatch.setattr(engine_file, "picks_of", broken)
    with pytest.raises(RuntimeError, match="broken"):
        model.fit(X, Y, batch_size=3, shuffle=False, verbose=0)
    assert int(model.optimizer.iterations) == 3
    other = small(0.0)
    other.compile(keras.optimizers.SGD(0.1), "mse", engine="native")
    other.fit(X[:9], Y[:9], batch_size=3, shuffle=False, verbose=0)
    same(other.get_weights(), model.get_weights())
