"""What is looked at before the first step, and models that have nothing to learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import layers, ops

X = np.linspace(-1, 1, 8).reshape(4, 2).astype("float32")
Y = np.eye(2, dtype="float32")[[0, 1, 1, 0]]


class Softmaxed(layers.Dense):
    """A user's layer whose own `call` makes probabilities."""

    def call(self, inputs: Any, training: Any = None) -> Any:
        """The formula of `Dense`, then softmax."""
        return ops.softmax(super().call(inputs))


@pytest.mark.parametrize(
    "head",
    [
        [layers.Dense(2, "softmax"), layers.Activation("linear", dtype="float32")],
        [layers.Dense(2), layers.Softmax(), layers.Identity(), layers.Activation(None)],
        [layers.Dense(2), layers.Lambda(ops.softmax), layers.Activation("linear")],
        [Softmaxed(2)],
    ],
)
def test_probabilities_that_are_passed_on_are_no_logits(head: Any) -> None:
    model = keras.Sequential([keras.Input((2,)), *head])
    model.compile("sgd", "categorical_crossentropy")
    model.fit(X, Y, verbose=0)  # a warning would be an error


def test_logits_that_are_passed_on_are_logits() -> None:
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2), layers.Activation("linear")])
    model.compile("sgd", "categorical_crossentropy")
    with pytest.warns(UserWarning, match="expected probabilities"):
        model.fit(X, Y, verbose=0)


def test_without_weights_no_update_is_counted() -> None:
    rate = keras.optimizers.schedules.ExponentialDecay(0.5, 2, 0.5)
    model = keras.Sequential([keras.Input((2,)), layers.Dropout(0.5, seed=1)])
    model.compile(keras.optimizers.Adam(rate), "mse")
    history = model.fit(X, X, batch_size=1, epochs=3, verbose=0)
    assert len(history.history["loss"]) == 3
    assert int(model.optimizer.iterations) == 0
    assert float(model.optimizer.learning_rate) == 0.5
    assert int(np.asarray(model.layers[0].seed_generator.state.value)[1]) == 12
