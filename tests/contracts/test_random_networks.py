"""Random networks of ops, own layers, masks, draws and losses: one result on any threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import layers, ops
from densekit.engines import native

THREADS = (1, 2, 3, 5)
STEPS, FEATURES = 6, 4


class Own(layers.Layer):
    """A dense layer of a user's, with a formula of two ops behind it."""

    def __init__(self, units: int, formula: int) -> None:
        super().__init__()
        self.units, self.formula = units, formula
        self.supports_masking = True

    def build(self, shape: Any) -> None:
        self.w = self.add_weight(shape=(shape[-1], self.units), initializer="glorot_uniform")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros")

    def call(self, x: Any, mask: Any = None) -> Any:
        h = ops.matmul(x, self.w) + self.b
        if self.formula == 1:
            h = h * ops.sigmoid(h) - ops.mean(h, axis=-1, keepdims=True)
        elif self.formula == 2:
            h = ops.maximum(h, 0.1 * h) + ops.cumsum(h, axis=-1) * 0.1
        elif self.formula == 3:
            h = ops.concatenate([h[..., ::2], ops.tanh(h[..., 1::2])], axis=-1)
        if mask is not None:
            h = ops.where(ops.expand_dims(mask, -1), h, 0.5 * h)
        return h


class Noise(layers.Layer):
    def __init__(self, seed: int) -> None:
        super().__init__()
        self.supports_masking = True
        self.seeds = keras.random.SeedGenerator(seed)

    def call(self, x: Any) -> Any:
        draw = keras.random.normal(ops.shape(x), stddev=0.1, seed=self.seeds)
        self.add_loss(0.01 * ops.mean(ops.square(x)))
        return x + draw


def choices(rng: Any) -> list[Callable[[Any], Any]]:
    def units() -> int:
        return int(rng.integers(2, 6)) * 2

    def branch(x: Any) -> Any:
        width = x.shape[-1]
        merge = [layers.Add, layers.Maximum, layers.Multiply, layers.Average][rng.integers(4)]
        return merge()([x, layers.Dense(width, "tanh")(x)])

    return [
        lambda x: layers.Dense(units(), ["relu", "gelu", "softmax"][rng.integers(3)])(x),
        lambda x: Own(units(), int(rng.integers(4)))(x),
        lambda x: layers.Dropout(0.25, seed=int(rng.integers(100)))(x),
        lambda x: layers.LayerNormalization()(x),
        lambda x: layers.PReLU(shared_axes=[1])(x),
        lambda x: layers.TimeDistributed(layers.Dense(units()))(x),
        lambda x: Noise(int(rng.integers(100)))(x),
        branch,
    ]


def absolute(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.abs(y_true - y_pred) ** 1.5, axis=-1)


def network(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    kinds = choices(rng)
    if seed % 2:
        inputs = keras.Input((STEPS,), dtype="int32")
        x = layers.Embedding(5, 6, mask_zero=True)(inputs)
    else:
        inputs = keras.Input((STEPS, FEATURES))
        x = layers.Masking()(inputs)
    for _ in range(int(rng.integers(4, 9))):
        x = kinds[rng.integers(len(kinds))](x)
    if rng.integers(3) == 0:
        x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(3)(x))
    loss = [absolute, "mse", keras.losses.MeanSquaredError(reduction="sum")][rng.integers(3)]
    model.compile(keras.optimizers.Adam(0.001), loss, metrics=["mae"])
    return model


def run(seed: int, threads: int) -> list[Any]:
    before = native.get_threads()
    native.set_threads(threads)
    try:
        model = network(seed)
        rng = np.random.default_rng(seed + 1000)
        x: Any = rng.standard_normal((300, STEPS, FEATURES)).astype("float32")
        x[rng.random((300, STEPS)) < 0.3] = 0
        if seed % 2:
            x = rng.integers(0, 5, (300, STEPS))
        y = rng.standard_normal((300, *model.output_shape[1:])).astype("float32")
        history = model.fit(x, y, batch_size=130, epochs=2, verbose=0).history
        (engine,) = [e for key, e in model._dk_runtime._engines.items() if key[0] == "train"]
        assert not engine.has_host_nodes, engine.builder.host_reasons
        return [*history.values(), *model.get_weights(), model.predict(x, verbose=0)]
    finally:
        native.set_threads(before)


@pytest.mark.parametrize("seed", range(10))
def test_bits_do_not_depend_on_threads(seed: int) -> None:
    wanted = run(seed, THREADS[0])
    assert all(np.isfinite(a).all() for a in wanted)
    for threads in THREADS[1:]:
        for one, other in zip(wanted, run(seed, threads), strict=True):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
