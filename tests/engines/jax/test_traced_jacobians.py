"""Jacobians in steps that are traced."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import ops

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3)).astype("float32")
Y = RNG.normal(size=(20, 2)).astype("float32")


class Net(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(4, "tanh")
        self.last = keras.layers.Dense(2)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.last(self.hidden(x))

    def updated(self, gradients: Any, **logs: Any) -> Any:
        self.optimizer.apply(gradients, self.trainable_variables)
        return logs


class Contractive(Net):
    """Jacobians by the inputs are part of what is differentiated."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        with keras.GradientTape() as tape:
            with keras.GradientTape(persistent=True) as inner:
                inner.watch(x)
                y_pred = self(x, training=True)
            whole = inner.jacobian(y_pred, x)
            by_row = inner.batch_jacobian(y_pred, x)
            loss = ops.mean((y - y_pred) ** 2) + ops.mean(by_row**2) + ops.mean(whole**2)
        gradients = tape.gradient(loss, self.trainable_variables)
        return self.updated(gradients, loss=loss, rows=by_row[0], same=whole[0, :, 0] - by_row[0])


class GaussNewton(Net):
    """By the weights, and by one that no target depends on."""

    def build(self, shape: Any) -> None:
        super().build(shape)
        self.unused = self.add_weight(shape=(3,), initializer="ones", trainable=False)

    def train_step(self, data: Any) -> Any:
        x, y = data
        with keras.GradientTape(persistent=True) as tape:
            tape.watch(self.unused)
            error = self(x, training=True) - y
        assert tape.jacobian(error, self.unused) is None
        zeros = tape.jacobian(error, self.unused, unconnected_gradients="zero")
        slopes = tape.jacobian(error, self.trainable_variables)
        gradients = [ops.tensordot(error, slope, 2) / len(x) for slope in slopes]
        return self.updated(gradients, loss=ops.mean(error**2), zeros=zeros)


class Hessian(Net):
    def train_step(self, data: Any) -> Any:
        x, y = data
        with keras.GradientTape() as second:
            with keras.GradientTape() as first:
                loss = ops.mean((self(x, training=True) - y) ** 4)
            gradients = first.gradient(loss, self.trainable_variables)
        return self.updated(
            gradients, loss=loss, bend=second.jacobian(gradients[-1], self.last.bias)
        )


class OnTheWay(Net):
    """Sources that are made inside; None where no target depends on one."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        with keras.GradientTape(persistent=True) as tape:
            inside = self.hidden(x)
            error = self.last(inside) - y
        assert tape.batch_jacobian(inside, error) is None
        gradients = tape.gradient(error, self.trainable_variables, output_gradients=error)
        sides = tape.jacobian(error, [inside, error])
        rows = tape.batch_jacobian(error, inside)
        return self.updated([0.1 * g for g in gradients], sides=sides, rows=rows)


@pytest.mark.filterwarnings("error:.*cannot be compiled")
@pytest.mark.parametrize("kind", [Contractive, GaussNewton, Hessian, OnTheWay])
def test_jacobians_are_those_of_native_tapes(kind: Any) -> None:
    def run(engine: str) -> Any:
        keras.utils.set_random_seed(1)
        model = kind()
        model.compile(keras.optimizers.SGD(0.05), engine=engine)
        logs = [model.train_on_batch(X[i : i + 5], Y[i : i + 5], return_dict=True) for i in (0, 5)]
        history = model.fit(X, Y, batch_size=5, shuffle=False, verbose=0).history
        return logs, history, model.get_weights()

    ours, theirs = (keras.tree.flatten(run(engine)) for engine in ("native", "jax"))
    for one, two in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)
