"""Mixed precision beside real Keras: dtypes, predictions, and steps from the same weights.

A bfloat16 number has 8 significant bits, one of float16 11: a rounding is off by EPS of it. The two
round in different places inside an activation, and sum in another order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest

import densekit

Array = npt.NDArray[Any]

EPS = {"mixed_bfloat16": 2.0**-9, "mixed_float16": 2.0**-12}
ROWS, FEATURES = 64, 9
X = np.random.default_rng(4).normal(size=(ROWS, FEATURES)).astype("float32")
LABELS = np.arange(ROWS) % 3
ONE_HOT = np.eye(3, dtype="float32")[LABELS]

Network = Callable[[Any], Any]


@pytest.fixture(autouse=True, params=list(EPS))
def eps(request: Any) -> Any:
    for module in (densekit, keras):
        module.config.set_dtype_policy(request.param)
    yield EPS[request.param]
    for module in (densekit, keras):
        module.backend.clear_session(free_memory=False)


def classifier(module: Any) -> Any:
    layers = module.layers
    return module.Sequential(
        [
            module.Input((FEATURES,)),
            layers.Dense(24, activation="relu"),
            layers.Dense(16, activation="tanh"),
            layers.Dense(3, activation="softmax"),
        ]
    )


def float32_head(module: Any) -> Any:
    layers = module.layers
    x = module.Input((FEATURES,))
    y = layers.Dropout(0.0)(layers.Dense(20, activation="gelu")(x))
    y = layers.Add()([layers.Dense(20)(y), y])
    return module.Model(x, layers.Dense(3, activation="softmax", dtype="float32")(y))


def regression(module: Any) -> Any:
    layers = module.layers
    x = module.Input((FEATURES,))
    y = layers.Concatenate()([layers.LeakyReLU()(x), layers.Dense(8, activation="elu")(x)])
    return module.Model(x, layers.Dense(3, kernel_regularizer="l2")(y))


NETWORKS: list[tuple[Network, str, Array]] = [
    (classifier, "sparse_categorical_crossentropy", LABELS),
    (float32_head, "categorical_crossentropy", ONE_HOT),
    (regression, "mse", ONE_HOT),
]


def both(network: Network) -> tuple[Any, Any]:
    keras.utils.set_random_seed(0)
    theirs, ours = network(keras), network(densekit)
    ours.set_weights([np.asarray(w) for w in theirs.get_weights()])
    return ours, theirs


@pytest.mark.parametrize("network", [n for n, _, _ in NETWORKS])
def test_predictions(network: Network, eps: float) -> None:
    ours, theirs = both(network)
    y, expected = ours.predict(X, verbose=0), np.asarray(theirs.predict(X, verbose=0))
    assert y.dtype == expected.dtype
    assert [w.dtype for w in ours.weights] == [w.dtype for w in theirs.weights]
    off = np.abs(y.astype("f8") - expected.astype("f8"))
    scale = max(1.0, float(np.abs(expected.astype("f8")).max()))
    assert off.max() <= 10 * eps * scale  # some ten roundings from input to output
    assert np.median(off) <= eps * scale


@pytest.mark.parametrize(("network", "loss", "y"), NETWORKS)
def test_steps(network: Network, loss: str, y: Array, eps: float) -> None:
    ours, theirs = both(network)
    before = ours.get_weights()
    losses = []
    for model, module in ((ours, densekit), (theirs, keras)):
        model.compile(module.optimizers.SGD(0.1), loss)
        history = model.fit(X, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
        losses.append(history.history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=8 * eps)
    moved = [np.asarray(a) - b for a, b in zip(theirs.get_weights(), before, strict=True)]
    for a, b, way in zip(ours.get_weights(), theirs.get_weights(), moved, strict=True):
        # Eight steps whose gradients are sums of terms with some ten roundings each.
        assert np.abs(a - np.asarray(b)).max() <= 24 * eps * np.abs(way).max()


def test_in_a_call_variables_have_the_type_that_they_read_as() -> None:
    def dtypes(module: Any) -> list[str]:
        class Own(module.layers.Layer):  # type: ignore[misc]
            def build(self, shape: Any) -> None:
                self.read = self.add_weight(shape=shape[-1:], initializer="ones")
                self.kept = self.add_weight(shape=shape[-1:], autocast=False)
                self.count = self.add_weight(shape=(), dtype="int32", initializer="zeros")

            def call(self, x: Any) -> Any:
                self.seen = [v.dtype for v in (self.read, self.kept, self.count)]
                y = x + module.ops.zeros(x.shape, self.read.dtype)
                self.read.assign(module.ops.ones(self.read.shape) / 3)
                return y

        layer = Own()
        y = layer(np.ones((2, 3), "float32"))
        return [*layer.seen, str(y.dtype), layer.read.dtype, str(layer.read.value.dtype)]

    assert dtypes(densekit) == dtypes(keras)


def test_a_layer_in_one_type_reads_its_weights_as_they_are() -> None:
    def dtypes(module: Any) -> list[str]:
        class Counts(module.layers.Layer):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__(dtype="int32")
                self.scale = self.add_weight(shape=(), initializer="ones", dtype="float32")

            def call(self, x: Any) -> Any:
                seen.extend([self.scale.dtype, str(self.scale.value.dtype)])
                return module.ops.cast(x, "float32") * self.scale

        class Outer(module.layers.Layer):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.inner = Counts()

            def call(self, x: Any) -> Any:
                return self.inner(x)

        seen: list[str] = []
        Outer()(np.ones((2, 3), "float32"))
        return seen[-2:]  # Keras tries the layer out first

    assert dtypes(densekit) == dtypes(keras) == ["float32", "float32"]
