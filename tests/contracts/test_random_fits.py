"""Random models, data and fits: the JAX engine logs and learns what the native one does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import layers, ops

pytest.importorskip("jax")
FEATURES = 4


class Shift(layers.Layer):
    """State, a draw and an added loss."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.seeds = keras.random.SeedGenerator(3)

    def call(self, x: Any, training: bool = False) -> Any:
        if training:
            self.calls.assign_add(1)
            x = x + 0.1 * keras.random.normal(ops.shape(x), seed=self.seeds)
        self.add_loss(0.01 * ops.mean(x**2))
        return x * (1 + 0.01 * self.calls)


class Largest(keras.metrics.Metric):
    def __init__(self) -> None:
        super().__init__(name="largest")
        self.value = self.add_weight(name="value")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.value.assign(ops.maximum(self.value, ops.max(y_pred)))

    def result(self) -> Any:
        return self.value


class Own(keras.Model):
    """A step on a tape, with what it keeps in a variable."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.steps = keras.Variable(0, dtype="int32", trainable=False)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.network(x, training=training)

    def train_step(self, data: Any) -> Any:
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        with keras.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred, weight)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self.steps.assign_add(1)
        return self.compute_metrics(x, y, y_pred, weight) | {"steps": self.steps}


class Changes(keras.callbacks.Callback):
    """What may be set between two epochs."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.model.optimizer.learning_rate = 0.02 / (epoch + 1)
        self.model.set_weights([0.9 * w for w in self.model.get_weights()])


def fitted(seed: int, engine: str) -> Any:
    rng = np.random.default_rng(seed)

    def some(options: list[Any]) -> Any:
        return options[rng.integers(len(options))]

    keras.utils.set_random_seed(seed)
    between = [Shift, layers.BatchNormalization, lambda: layers.Dropout(0.3), layers.PReLU]
    parts = [layers.Dense(5, some(["tanh", "gelu"])), some(between)(), some(between)()]
    model: Any = keras.Sequential([keras.Input((FEATURES,)), *parts, layers.Dense(1, "sigmoid")])
    if seed % 3 == 2:
        model = Own(model)
    optimizer = some([keras.optimizers.SGD, keras.optimizers.Adam])(0.02)
    measured = ["mae", some([keras.metrics.AUC, keras.metrics.RootMeanSquaredError])(name="m")]
    loss = some(["mse", "binary_crossentropy"])
    steps = some([1, 3])
    model.compile(
        optimizer, loss, metrics=[*measured, Largest()], weighted_metrics=["mse"], engine=engine,
        steps_per_execution=steps,
    )  # fmt: skip
    found: list[Any] = []
    for rows in (int(rng.integers(9, 20)), int(rng.integers(20, 40))):
        x = rng.normal(size=(rows, FEATURES)).astype("float32")
        y = (rng.random((rows, 1)) > 0.5).astype("float32")
        weight = some([None, rng.random(rows).astype("float32")])
        batch = int(rng.integers(3, rows))
        history = model.fit(
            x, y, batch, 2, 0, [Changes()], 0.2, sample_weight=weight,
        ).history  # fmt: skip
        found += [list(history), *history.values(), model.predict(x, verbose=0)]
    return [*found, *model.get_weights()]


@pytest.mark.parametrize("seed", range(3))
def test_engines_agree(seed: int) -> None:
    for one, two in zip(fitted(seed, "native"), fitted(seed, "jax"), strict=True):
        if isinstance(one, list) and isinstance(one[0], str):
            assert one == two
        else:
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
