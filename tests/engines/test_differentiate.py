"""Definitions written on `jax.numpy` train as those written on `ops` do."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import densekit as keras
from densekit import layers, ops
from densekit.engines.differentiate import Differentiator

X = np.linspace(-1, 1, 24).reshape(8, 3).astype("float32")
Y = X.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_of_jax_are_those_of_autograd(dtype: str) -> None:
    x, w, n = X.astype(dtype), np.full((3, 2), 0.3, dtype), np.arange(8)

    def definition(tanh: Any) -> Any:
        def function(x: Any, w: Any, n: Any) -> Any:
            y = tanh(x @ w)
            return [y, {"count": n + 1, "unused": np.ones(2)}, x[:, 0] * 2]

        return function

    found = []
    for tanh in (ops.tanh, jnp.tanh):
        differentiate = Differentiator()
        for _ in range(2):  # the second time it is known which of the two to take
            outputs, vjp = differentiate(definition(tanh), [x, w, n])
        assert outputs[0].dtype == dtype
        np.testing.assert_array_equal(outputs[1]["count"], n + 1)
        found.append(vjp([np.ones((8, 2), dtype), {"count": None, "unused": None}, None]))
        assert found[-1][0].dtype == dtype
    for one, other in zip(*found, strict=True):
        eps = 32 * np.finfo(dtype).eps
        np.testing.assert_allclose(one, other, rtol=eps, atol=eps)
    assert np.any(found[0][1])


def test_the_users_error_comes_through() -> None:
    def wrong(x: Any) -> Any:
        raise TypeError("wrong in any case")

    with pytest.raises(TypeError, match="wrong in any case"):
        Differentiator()(wrong, [X])


def layer_of(tanh: Any) -> Any:
    class Own(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight(shape=(3, 2), initializer="ones")
            self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, inputs: Any) -> Any:
            self.calls.assign_add(1.0)
            return tanh(inputs @ self.w.value)

    return Own()


def model_of(tanh: Any) -> Any:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.head = layer_of(tanh), layers.Dense(1, kernel_initializer="ones")

        def call(self, inputs: Any) -> Any:
            return self.head(tanh(self.first(inputs)))

    return Own()


@pytest.mark.filterwarnings("ignore:Own.*can be followed")
@pytest.mark.parametrize("whole", [True, False])
def test_layers_losses_and_penalties_on_jax_train(whole: bool) -> None:
    histories, weights = [], []
    for tanh, mean, square in ((ops.tanh, ops.mean, ops.square), (jnp.tanh, jnp.mean, jnp.square)):

        def penalty(w: Any, mean: Any = mean, square: Any = square) -> Any:
            return 0.1 * mean(square(w))

        def loss(y_true: Any, y_pred: Any, mean: Any = mean, square: Any = square) -> Any:
            return mean(square(y_true - y_pred), axis=-1)

        head = layers.Dense(1, kernel_initializer="ones", kernel_regularizer=penalty)
        model = model_of(tanh) if whole else keras.Sequential([layer_of(tanh), head])
        model.compile("adam", loss)
        history = model.fit(X, Y, batch_size=4, epochs=3, shuffle=False, verbose=0)
        histories.append(history.history["loss"])
        weights.append(model.get_weights())
        assert float(model.layers[0].calls) == 6
    np.testing.assert_allclose(*histories, rtol=1e-5)
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)
    assert histories[0][2] < histories[0][0]
