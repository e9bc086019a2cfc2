"""What `predict`, `evaluate`, `fit` and their metrics give back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.training.small_regression import X, Y, model_of

import densekit as keras


def test_predict_is_the_call() -> None:
    model = model_of(keras.layers.Dense(7, activation="gelu"), units=3)
    outputs = model.predict(X, verbose=0)
    for other in (
        model(X),
        model.predict(X, batch_size=1),
        model.predict(X, batch_size=7, verbose=0),
        model.predict_on_batch(X),
        np.concatenate([model(X[i : i + 1]) for i in range(40)]),
        model.predict(X[::-1])[::-1],
        model.predict(X.astype("float64")),
        model.predict([X]),
    ):
        assert other.dtype == np.float32
        np.testing.assert_array_equal(outputs, other)


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows(rows: int) -> None:
    model = model_of(units=3)
    assert model.predict(X[:rows], verbose=0).shape == (rows, 3)
    assert model.predict_on_batch(X[:rows]).shape == (rows, 3)
    assert model(X[:rows]).shape == (rows, 3)


def test_structures_of_outputs() -> None:
    x = keras.Input((4,), name="x")
    dense = keras.layers.Dense(2)
    named = keras.Model({"x": x}, {"b": dense(x), "a": keras.layers.Dense(3)(x)})
    outputs = named.predict({"x": X}, verbose=0)
    assert {key: value.shape for key, value in outputs.items()} == {"b": (40, 2), "a": (40, 3)}
    np.testing.assert_array_equal(outputs["a"], named({"x": X})["a"])
    named.compile("sgd", {"a": "mse", "b": "mae"}, metrics={"a": ["mae"]})
    targets = {"a": np.zeros((40, 3)), "b": np.zeros((40, 2))}
    assert sorted(named.fit({"x": X}, targets, verbose=0).history) == [
        "a_loss",
        "a_mae",
        "b_loss",
        "loss",
    ]


def test_evaluate_gives_loss_then_metrics() -> None:
    model = model_of(metrics=["mae", "mse"], weighted_metrics=["msle"])
    values = model.evaluate(X, Y, verbose=0)
    named = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert values == [named["loss"], named["mae"], named["mse"], named["msle"]]
    assert all(type(value) is float for value in values)
    assert model.metrics_names == ["loss", "compile_metrics"]
    assert type(model_of().evaluate(X, Y, verbose=0)) is float


def test_evaluate_steps() -> None:
    model = model_of()
    first = model.evaluate(X, Y, batch_size=8, steps=2, verbose=0)
    assert first == model.evaluate(X[:16], Y[:16], batch_size=8, verbose=0)


def test_compute_loss_is_what_evaluate_says() -> None:
    model = model_of(keras.layers.Dense(3, kernel_regularizer="l2"))
    weight = np.linspace(0, 1, 40).astype("float32")
    by_definition = model.compute_loss(X, Y, model.predict(X, verbose=0), weight)
    natively = model.evaluate(X, Y, sample_weight=weight, batch_size=40, verbose=0)
    assert float(by_definition) == pytest.approx(natively, rel=1e-6)


def test_metrics_are_reset_between_batches_and_epochs() -> None:
    model = model_of(metrics=["mae"])
    once = model.test_on_batch(X, Y)
    assert model.test_on_batch(X, Y) == once
    history = model.fit(X, Y, epochs=2, verbose=0).history
    assert history["mae"][1] < history["mae"][0]


def test_metrics_of_the_user_see_single_batches() -> None:
    sizes: list[int] = []

    class Rows(keras.metrics.Metric):
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            sizes.append(len(y_pred))

        def result(self) -> float:
            return float(sum(sizes))

    model = model_of(metrics=[Rows(name="rows")])
    assert model.fit(X, Y, batch_size=16, verbose=0).history["rows"] == [40.0]
    assert sizes == [16, 16, 8]


def test_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    model = model_of()
    model.fit(X, Y, verbose=0)
    model.evaluate(X, Y, verbose=0)
    model.predict(X)
    assert capsys.readouterr().out == ""
    model.fit(X, Y, epochs=2)
    assert "Epoch 2/2" in capsys.readouterr().out
    model.predict(X, verbose=1)
    assert "2/2" in capsys.readouterr().out
