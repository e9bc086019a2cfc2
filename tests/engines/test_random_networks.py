"""Networks drawn at random: whatever their shape, threads decide who computes and never what.

One seed is one network, its data, optimizer and batches; a failing seed alone is a test to debug.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import _native

from .native_plans import Halve

pytestmark = pytest.mark.skipif(
    _native.active_isa() == "reference", reason="minutes of scalar loops, shared out like any other"
)

L, optimizers = keras.layers, keras.optimizers

NARROW = (1, 2, 3, 7, 16, 17, 33, 64, 65, 128, 130)
WIDE = (513, 784, 1030, 1200)  # kernels beyond a core's caches
CALLS = 36  # enough for prepacked weights

OPTIMIZERS: list[Callable[[], Any]] = [
    lambda: optimizers.Adam(),
    lambda: optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    lambda: optimizers.Adam(global_clipnorm=0.5),
    lambda: optimizers.Lamb(),
    lambda: optimizers.Adafactor(),
    lambda: optimizers.Adam(gradient_accumulation_steps=2, use_ema=True, ema_overwrite_frequency=3),
]


class Scaled(L.Layer):  # type: ignore[misc]
    """A user's layer with weights of its own, followed op by op."""

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones")
        self.shift = self.add_weight(shape=(), initializer="zeros")

    def call(self, inputs: Any) -> Any:
        return inputs * self.scale + self.shift


# Each gives the shape it takes.
OPS: list[Callable[[Any, str], Any]] = [
    lambda x, policy: L.LayerNormalization(dtype=policy)(x),
    lambda x, policy: L.RMSNormalization(dtype=policy)(x),
    lambda x, policy: L.BatchNormalization(dtype=policy)(x),
    lambda x, policy: L.PReLU(dtype=policy)(x),
    lambda x, policy: x * keras.ops.sigmoid(x) - 0.5,
    lambda x, policy: x - keras.ops.mean(x, axis=-1, keepdims=True),
    lambda x, policy: keras.ops.where(x > 0, x, 0.1 * x) + x**2 / 8.0,
    lambda x, policy: keras.ops.flip(x, axis=-1),
    lambda x, policy: x / (1.0 + keras.ops.max(keras.ops.abs(x), axis=-1, keepdims=True)),
]


def network(draw: random.Random, policy: str) -> Any:
    """Dense layers and what may stand between them: rank 2 or 3, several inputs, shared layers."""

    def width() -> int:
        return draw.choice(WIDE if draw.random() < 0.3 else NARROW)

    def dense(units: int, activation: str | None = "tanh") -> Any:
        return L.Dense(units, activation, dtype=policy)

    rank3 = draw.random() < 0.3
    inputs = [keras.Input((draw.choice((2, 3, 5)), width()) if rank3 else (width(),))]
    x = inputs[0]
    for _ in range(draw.randint(1, 4)):
        kinds = ("dense", "dense", "dense", "python", "dropout", "input", "shared", "op", "own")
        kind = draw.choice(kinds)
        if kind == "dense":
            x = dense(width(), draw.choice(("relu", "gelu", "selu", "softmax", None)))(x)
        elif kind == "python":
            x = Halve()(x)
        elif kind == "dropout":
            x = draw.choice((L.Dropout(0.3), L.GaussianNoise(0.2), L.GaussianDropout(0.2)))(x)
        elif kind == "op":
            x = draw.choice(OPS)(x, policy)
        elif kind == "own":
            x = Scaled(dtype=policy)(x)
        elif kind == "shared":
            layer = dense(x.shape[-1])
            x = L.Add()([x, layer(layer(x))])
        elif not rank3:
            inputs.append(keras.Input((width(),)))
            x = L.Concatenate()([x, dense(width())(inputs[-1])])
    if rank3:
        x = L.Flatten()(x)
    head = "float64" if policy == "float64" else "float32"
    return keras.Model(inputs, L.Dense(draw.choice((2, 5, 10)), "softmax", dtype=head)(x))


def called_at_once(model: Any, x: list[Any], callers: int) -> set[bytes]:
    """What several Python threads get, which call the model in a loop."""
    results: list[set[bytes]] = [set() for _ in range(callers)]

    def call(seen: set[bytes]) -> None:
        for _ in range(CALLS):
            seen.add(np.asarray(model(x if len(x) > 1 else x[0])).tobytes())

    threads = [threading.Thread(target=call, args=(seen,)) for seen in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return set().union(*results)


def bits(seed: int, threads: int) -> list[bytes]:
    """All that training, evaluating and predicting leaves behind."""
    draw = random.Random(seed)
    keras.config.set_threads(threads)
    keras.utils.set_random_seed(seed)
    policy = draw.choice(("float32", "float32", "float64", "mixed_bfloat16"))
    model = network(draw, policy)
    model.compile(draw.choice(OPTIMIZERS)(), "sparse_categorical_crossentropy")
    batch_size = draw.choice((1, 3, 16, 17, 33, 64, 128))
    rows = batch_size * draw.randint(1, 8) + draw.randint(0, batch_size - 1)
    rng = np.random.default_rng(seed)
    x = [rng.standard_normal((rows, *i.shape[1:]), "float32") for i in model.inputs]
    y = rng.integers(0, model.outputs[0].shape[-1], rows)
    weight = rng.random(rows) if draw.random() < 0.3 else None
    history = model.fit(x, y, batch_size, epochs=2, verbose=0, sample_weight=weight)
    loss = model.evaluate(x, y, batch_size, verbose=0)
    found = called_at_once(model, [a[:2] for a in x], min(threads, 2))
    assert len(found) == 1
    results = [*model.get_weights(), model.predict(x, verbose=0), history.history["loss"], loss]
    return [*(np.asarray(a).tobytes() for a in results), *found]


@pytest.mark.parametrize("seed", range(60))
def test_the_same_bits_for_any_number_of_threads(seed: int) -> None:
    expected = bits(seed, 1)
    for threads in (2, 3):
        assert bits(seed, threads) == expected
