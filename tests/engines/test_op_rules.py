"""Native forms of ops keep what definitions say of NaN, infinities, ties and large numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import ops
from densekit.layers import Layer

NAN, INF = np.nan, np.inf
ROWS = np.array(
    [
        [0, 1, -1, 2, 2],
        [1, NAN, 0.5, -1, 3],
        [NAN] * 5,
        [INF, 0, 1, 2, 3],
        [0, INF, 1, -INF, 3],
        [0, 1, 1e20, 1e30, -1e25],
    ],
    "float32",
)
WEIGHTS = np.array([1, 0, 2, 0, 1], "float32")
OPS: dict[str, Callable[[Any], Any]] = {
    "median": lambda x: ops.median(x, axis=-1),
    "median kept": lambda x: ops.median(x, axis=-1, keepdims=True),
    "cumsum": lambda x: ops.cumsum(ops.clip(x, -INF, 1e6), axis=-1),
    "cumsum inside": lambda x: ops.cumsum(ops.stack([x, -x, x], axis=1), axis=1),
    "average": lambda x: ops.average(x, axis=-1, weights=WEIGHTS),
    "arcsinh": ops.arcsinh,
    "hypot": lambda x: ops.hypot(x, 2 * x),
    "fmax": lambda x: ops.fmax(x, x[:, ::-1]),
    "fmin": lambda x: ops.fmin(x, x[:, ::-1]),
    "sort": ops.sort,
    "argsort": ops.argsort,
    "top_k": lambda x: ops.top_k(x, 3)[0],
}
# At ties and at 0: the slopes of the definition, which are those of JAX.
SLOPES: dict[str, Callable[[Any], Any]] = {
    "arcsinh": ops.arcsinh,
    "fmax": lambda x: ops.fmax(x, 0.5 * x),
    "fmin": lambda x: ops.fmin(x, -x),
    "hypot": lambda x: ops.hypot(x, 1.0),
    "cumsum": lambda x: ops.cumsum(x, axis=-1),
    "median": lambda x: ops.median(x, axis=-1, keepdims=True) * x,
}


def model_of(call: Callable[[Any], Any]) -> Any:
    class Own(Layer):
        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight(shape=(5,), initializer="zeros")

        def call(self, inputs: Any) -> Any:
            return call(inputs + self.w)

    inputs = keras.Input((5,))
    return keras.Model(inputs, Own()(inputs))


def natively(model: Any) -> bool:
    return all(e.builder.host_reasons == [] for e in model._dk_runtime._engines.values())


@pytest.mark.parametrize("name", OPS)
def test_what_is_not_finite(name: str) -> None:
    model, found = model_of(OPS[name]), []
    for engine in ("reference", "native"):
        model.compile("sgd", "mse", engine=engine)
        with np.errstate(all="ignore"):
            found.append(model.predict(ROWS, verbose=0))
    assert natively(model)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SLOPES)
def test_slopes(name: str) -> None:
    found = []
    for engine in ("reference", "native"):
        model = model_of(lambda x: ops.mean(SLOPES[name](x) * WEIGHTS, axis=-1, keepdims=True))
        model.compile(keras.optimizers.SGD(1.0), lambda y, p: p, engine=engine)
        model.fit(ROWS[:1], np.zeros((1, 1)), verbose=0)
        found.append(model.get_weights()[0])
    assert natively(model)
    assert np.isfinite(found[0]).all()
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5, atol=1e-6)


def test_an_open_size_is_no_number() -> None:
    def call(x: Any) -> Any:
        return x * ops.cast(ops.shape(x)[0], "float32")

    model = model_of(call)
    model.compile("sgd", "mse")
    np.testing.assert_array_equal(model.predict(ROWS[:1], verbose=0), ROWS[:1])
    np.testing.assert_array_equal(model(np.ones((3, 5))), np.full((3, 5), 3.0))


NOTHING: dict[str, Callable[[Any], Any]] = {
    "sort": ops.sort,
    "top_k": lambda x: ops.top_k(x, 2)[0],
    "no features": lambda x: keras.layers.Dense(2)(keras.layers.Flatten()(x)),
}


@pytest.mark.parametrize("name", NOTHING)
def test_axes_of_size_0(name: str) -> None:
    inputs, found = keras.Input((0, 3)), []
    model = keras.Model(inputs, NOTHING[name](inputs))
    y = np.zeros((4, *model.output_shape[1:]))
    for engine in ("reference", "native"):
        model.compile("sgd", "mse", engine=engine)
        if y.size:
            model.fit(np.zeros((4, 0, 3)), y, verbose=0)
        found.append(model.predict(np.zeros((4, 0, 3)), verbose=0))
    np.testing.assert_array_equal(*found)
