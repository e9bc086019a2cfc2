"""Formulas and losses of a whole batch run natively: sums over it, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import ops
from densekit.engines.native import get_threads, set_threads
from densekit.layers import Layer

L = keras.layers
Call = Callable[[Any, Any], Any]
RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((11, 5)).astype("float32"), RNG.random((11, 2)).astype("float32")


def adding(layer: Any, loss: Any, x: Any) -> Any:
    layer.add_loss(loss)
    return x


CALLS: dict[str, Call] = {
    "centred": lambda self, x: x - ops.mean(x, axis=0),
    "own normalization": lambda self, x: (
        (x - ops.mean(x, axis=0)) / ops.sqrt(ops.var(x, axis=0, keepdims=True) + 1e-3) * self.g
    ),
    "deviation of the batch": lambda self, x: ops.concatenate(
        [x, ops.mean(ops.std(x, axis=0)) + 0 * x[:, :1]], axis=-1
    ),
    "one number": lambda self, x: x / ops.mean(ops.abs(x)),
    "formula of a number": lambda self, x: x * ops.exp(ops.mean(x)) + ops.square(ops.sum(x)),
    "largest mean": lambda self, x: x - ops.max(ops.mean(x, axis=0)),
    "product of batches": lambda self, x: ops.sigmoid(ops.tensordot(x, x * self.g, 2) + x),
    "products by letters": lambda self, x: x - ops.einsum("bi,bj->ij", ops.tanh(x), x * self.g)[0],
    "weights and a sum": lambda self, x: x + ops.einsum("bi,i->i", x, self.g),
    "covariance": lambda self, x: adding(
        self, ops.mean(ops.square(ops.matmul(ops.transpose(x), x) / 4 - ops.eye(4))), x
    ),
    "added loss": lambda self, x: adding(self, ops.square(ops.mean(x)), x),
    "added sum": lambda self, x: adding(self, ops.sum(ops.square(ops.mean(x, axis=0))), x),
}
LOSSES: dict[str, Call] = {
    "dice": lambda y, p: 1 - (2 * ops.sum(y * p) + 1) / (ops.sum(y) + ops.sum(p) + 1),
    "unexplained": lambda y, p: ops.sum(ops.square(y - p)) / ops.sum(ops.square(y - ops.mean(y))),
    "correlation": lambda y, p: (
        1 - ops.mean((y - ops.mean(y)) * (p - ops.mean(p))) / (ops.std(y) * ops.std(p) + 1e-6)
    ),
    "cross-correlation": lambda y, p: ops.sum(
        ops.square(ops.transpose(y - ops.mean(y, axis=0)) @ (p - ops.mean(p, axis=0)) - ops.eye(2))
    ),
    "root": lambda y, p: ops.sqrt(ops.mean(ops.square(y - p))),
    "logarithm": lambda y, p: ops.log(ops.mean(ops.square(y - p), axis=(0, 1))),
}


PENALTIES: dict[str, Callable[[Any], Any]] = {
    "mean": lambda a: 0.3 * ops.mean(ops.square(a)),
    "sum": lambda a: 0.1 * ops.sum(ops.abs(a) ** 1.5),
    "sparseness of units": lambda a: 0.1 * ops.sum(-ops.log(1.01 - ops.mean(a, axis=0) ** 2)),
    "root": lambda a: 0.1 * ops.sqrt(ops.sum(ops.square(a))),
}


def model_of(call: Call) -> Any:
    class Own(Layer):
        def build(self, input_shape: Any) -> None:
            self.g = self.add_weight(shape=(input_shape[-1],), initializer="random_normal")

        def call(self, inputs: Any) -> Any:
            return call(self, inputs)

    inputs = keras.Input((5,))
    return keras.Model(inputs, L.Dense(2, "sigmoid")(Own()(L.Dense(4, "tanh")(inputs))))


def results(make: Callable[[], Any], loss: Any, engine: str, x: Any = X, y: Any = Y) -> list[Any]:
    keras.utils.set_random_seed(1)
    model = make()
    model.compile(keras.optimizers.SGD(0.1), loss, engine=engine)
    found: list[Any] = [
        model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0).history["loss"],
        model.evaluate(x, y, batch_size=4, verbose=0),
        model.predict(x, batch_size=4, verbose=0),
        model(x),
        *model.get_weights(),
    ]
    if engine == "native":
        for made in model._dk_runtime._engines.values():
            assert made.builder.host_reasons == []
            assert made.builder.loss_reasons == {}
    return found


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_calls_are_those_of_the_definition(call: Call) -> None:
    found, wanted = (results(lambda: model_of(call), "mse", e) for e in ("native", "reference"))
    for mine, reference in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, reference, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=list(LOSSES))
def test_losses_are_those_of_the_definition(loss: Call) -> None:
    def make() -> Any:
        return keras.Sequential([keras.Input((5,)), L.Dense(4, "tanh"), L.Dense(2, "sigmoid")])

    found, wanted = (results(make, loss, e) for e in ("native", "reference"))
    for mine, reference in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, reference, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=list(PENALTIES))
def test_activity_penalties_of_users_are_those_of_the_definition(penalty: Any) -> None:
    def make() -> Any:
        hidden = L.Dense(4, "tanh", activity_regularizer=penalty)
        return keras.Sequential([keras.Input((5,)), hidden, L.Dense(2, "sigmoid")])

    found, wanted = (results(make, "mse", e) for e in ("native", "reference"))
    for mine, reference in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, reference, rtol=2e-5, atol=1e-6)


def test_bits_do_not_depend_on_threads() -> None:
    x = np.random.default_rng(2).standard_normal((300, 5)).astype("float32")
    y = np.random.default_rng(3).random((300, 2)).astype("float32")
    before, found = get_threads(), []
    try:
        for threads in (1, 2, 3, 5):
            set_threads(threads)
            model = model_of(CALLS["own normalization"])
            model.set_weights(
                [np.random.default_rng(4).standard_normal(w.shape) for w in model.get_weights()]
            )
            model.compile("sgd", LOSSES["dice"])
            model.fit(x, y, batch_size=200, shuffle=False, verbose=0)
            found.append([*model.get_weights(), model.predict(x, batch_size=200, verbose=0)])
    finally:
        set_threads(before)
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))
