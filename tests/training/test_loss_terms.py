"""Losses of several outputs: their structure, weights and names in the logs, as in Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import densekit as keras

X = np.linspace(-1, 1, 16).reshape(8, 2).astype("float32")
Y = np.ones((8, 1), "float32")


def myLoss(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.mean((y_true - y_pred) ** 2, axis=-1)


class Callable_(keras.Model):
    """Two outputs, in a list or a dict, that the model has no names for."""

    def __init__(self, named: bool) -> None:
        super().__init__()
        self.named = named
        self.a = keras.layers.Dense(1)
        self.b = keras.layers.Dense(1)

    def call(self, x: Any) -> Any:
        a, b = self.a(x), self.b(x)
        return {"a": a, "b": b} if self.named else [a, b]


class OwnCall:
    def __call__(self, y_true: Any, y_pred: Any) -> Any:
        return myLoss(y_true, y_pred)


class OwnLoss(keras.losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return myLoss(y_true, y_pred)


def functional(named: bool) -> Any:
    x = keras.Input((2,))
    a, b = keras.layers.Dense(1, name="a")(x), keras.layers.Dense(1, name="b")(x)
    return keras.Model(x, {"a": a, "b": b} if named else [a, b])


def fitted(model: Any, loss: Any, **arguments: Any) -> dict[str, Any]:
    model.compile("sgd", loss, **arguments)
    y = {"a": Y, "b": Y} if isinstance(model(X), dict) else [Y, Y]
    history: dict[str, Any] = model.fit(X, y, verbose=0, batch_size=8).history
    return history


# What Keras 3.15 calls the loss of a list of outputs.
NAMES: dict[str, tuple[Callable[[], Any], str]] = {
    "short string": (lambda: "mse", "mse_loss"),
    "long string": (lambda: "mean_squared_error", "mean_squared_error_loss"),
    "capital string": (lambda: "MSE", "MSE_loss"),
    "class by string": (lambda: "MeanSquaredError", "mean_squared_error_loss"),
    "function": (lambda: myLoss, "my_loss_loss"),
    "lambda": (lambda: lambda y_true, y_pred: myLoss(y_true, y_pred), "lambda_loss"),
    "built-in function": (lambda: keras.losses.mean_absolute_error, "mean_absolute_error_loss"),
    "object": (keras.losses.MeanSquaredError, "mean_squared_error_loss"),
    "named object": (lambda: keras.losses.MeanSquaredError(name="foo"), "foo_loss"),
    "callable object": (OwnCall, "own_call_loss"),
    "own loss": (OwnLoss, "own_loss_loss"),
}


@pytest.mark.parametrize("kind", NAMES)
def test_outputs_without_names_go_by_their_losses(kind: str) -> None:
    make, name = NAMES[kind]
    assert set(fitted(Callable_(False), [make(), "mae"])) == {"loss", name, "mae_loss"}


@pytest.mark.parametrize("model", [lambda: Callable_(True), lambda: functional(True)])
@pytest.mark.parametrize("loss", ["mse", {"a": "mse", "b": "mse"}, ["mse", "mse"]])
def test_named_outputs_go_by_their_names(model: Any, loss: Any) -> None:
    assert set(fitted(model(), loss)) == {"loss", "a_loss", "b_loss"}


def test_a_list_of_losses_for_an_output_is_their_sum() -> None:
    model = functional(True)
    predictions = model.predict(X, verbose=0)
    history = fitted(model, {"a": ["mse"], "b": ["mse", "mae"]})
    error = predictions["b"] - Y
    expected = np.mean((predictions["a"] - Y) ** 2) + np.mean(error**2) + np.mean(np.abs(error))
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert set(history) == {"loss", "a_loss", "b_loss"}


def test_weights_of_a_list_of_losses() -> None:
    for weights in ([2.0, 3.0, 5.0], {"a": [2.0], "b": [3.0, 5.0]}):
        model = functional(True)
        predictions = model.predict(X, verbose=0)
        loss = {"a": ["mse"], "b": ["mse", "mae"]}
        history = fitted(model, loss, loss_weights=weights)
        error = predictions["b"] - Y
        expected = 2 * np.mean((predictions["a"] - Y) ** 2)
        expected += 3 * np.mean(error**2) + 5 * np.mean(np.abs(error))
        assert history["loss"][0] == pytest.approx(expected, rel=1e-5)


def test_an_empty_list_is_no_loss() -> None:
    assert set(fitted(functional(True), {"a": [], "b": "mse"})) == {"loss"}


@pytest.mark.parametrize("weights", [[1.0, 3.0], {"a": 1.0, "b": 3.0}, (1.0, 3.0)])
def test_one_loss_takes_a_weight_for_each_output(weights: Any) -> None:
    """As files of Keras 2 have it."""
    model = functional(False)
    a, b = model.predict(X, verbose=0)
    history = fitted(model, "mse", loss_weights=weights)
    expected = np.mean((a - Y) ** 2) + 3 * np.mean((b - Y) ** 2)
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)


def test_they_train_after_loading_an_old_file(tmp_path: Any) -> None:
    model = functional(False)
    model.compile("sgd", "mse", loss_weights=[1.0, 3.0])
    model.fit(X, [Y, Y], verbose=0)
    model.save(tmp_path / "old.h5")
    loaded = keras.saving.load_model(tmp_path / "old.h5")
    assert loaded.evaluate(X, [Y, Y], verbose=0) == pytest.approx(
        model.evaluate(X, [Y, Y], verbose=0)
    )


@pytest.mark.parametrize("weights", [1, 2, True, np.float32(1), "x"])
def test_a_weight_is_a_float(weights: Any) -> None:
    with pytest.raises(ValueError, match="loss_weights"):
        functional(False).compile("sgd", "mse", loss_weights=weights)
    with pytest.raises(TypeError, match="`loss_weights` of numbers, got 'acc'"):
        functional(False).compile("sgd", "mse", ["acc"])


@pytest.mark.parametrize("loss", ["mse", ["mse", "mse"], {"a": "mse", "b": "mse"}])
@pytest.mark.parametrize("y", [{"a": Y}, {"c": Y}, {}, {"a": Y, "b": Y, "c": Y}, [Y], Y])
def test_targets_of_another_structure(loss: Any, y: Any) -> None:
    """Keras raises KeyError for some and ValueError for others; both are caught here."""
    model = functional(True)
    model.compile("sgd", loss)
    for kind in (ValueError, KeyError):
        with pytest.raises(kind, match="`y`: expected") as caught:
            model.fit(X, y, verbose=0)
        assert not str(caught.value).startswith(("'", '"'))


@pytest.mark.parametrize(
    ("named", "weights"),
    [
        (False, {"a": Y[:, 0], "b": Y[:, 0]}),
        (True, [Y[:, 0], Y[:, 0]]),
        (True, {"a": Y[:, 0]}),
        (True, {"a": Y[:, 0], "b": Y[:, 0], "c": Y[:, 0]}),
    ],
)
def test_weights_have_the_structure_of_the_targets(named: bool, weights: Any) -> None:
    model = functional(named)
    model.compile("sgd", "mse")
    y: Any = {"a": Y, "b": Y} if named else [Y, Y]
    with pytest.raises(ValueError, match="sample_weight"):
        model.fit(X, y, sample_weight=weights, verbose=0)


def test_a_list_within_the_list_of_losses_is_for_its_output() -> None:
    def trained(loss: Any) -> list[float]:
        keras.utils.set_random_seed(1)
        x = keras.Input((3,))
        model = keras.Model(x, [keras.layers.Dense(1, name=name)(x) for name in "ab"])
        model.compile("sgd", loss)
        y = np.ones((4, 1), "float32")
        return model.fit(np.eye(4, 3, dtype="float32"), [y, y], verbose=0).history["loss"]

    assert trained(["mse", ["mse", "mae"]]) != trained(["mse", "mse"])
    same = trained({"a": "mse", "b": ["mse", "mae"]})
    np.testing.assert_allclose(trained(["mse", ["mse", "mae"]]), same, rtol=1e-6)
