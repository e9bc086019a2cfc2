"""Kernels that no core's cache holds: the same bits for any number of threads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import densekit as keras
from densekit import _native

from . import native_plans as plans

pytestmark = pytest.mark.skipif(
    _native.active_isa() == "reference", reason="minutes of scalar loops, shared out like any other"
)


# All but Adam keep weights where they are. The last batch has one row: threads take rows again.
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.Adam(),
        lambda: keras.optimizers.Adam(global_clipnorm=1.0),
        lambda: keras.optimizers.Adam(gradient_accumulation_steps=3),
        lambda: keras.optimizers.SGD(1e-3, use_ema=True, ema_overwrite_frequency=4),
        lambda: keras.optimizers.Lamb(),
        lambda: keras.optimizers.Adafactor(),
    ],
    ids=["adam", "clipped", "accumulated", "averaged", "lamb", "adafactor"],
)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_batches_of_large_kernels(
    policy: str, optimizer: Callable[[], keras.optimizers.Optimizer]
) -> None:
    rows = 64 * 6 + 1
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, 1100), "float32")
    y = rng.random((rows, 5), "float32")

    def run(threads: int) -> list[bytes]:
        keras.config.set_threads(threads)
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((1100,))])
        model.add(keras.layers.Dense(1030, "relu", dtype=policy))
        model.add(keras.layers.Dense(5, dtype=policy))
        model.compile(optimizer(), "mse")
        history = model.fit(x, y, batch_size=64, epochs=2, verbose=0)
        results = [*model.get_weights(), model.predict(x, verbose=0)]
        losses = [*history.history["loss"], model.evaluate(x, y, batch_size=64, verbose=0)]
        return [np.asarray(a).tobytes() for a in (*results, losses)]

    expected = run(1)
    assert run(2) == expected
    assert run(3) == expected


def test_predictions_of_a_model_that_runs_in_part_in_python() -> None:
    x = np.random.default_rng(0).standard_normal((64, 1100), "float32")
    model = keras.Sequential(
        [keras.Input((1100,)), keras.layers.Dense(1030, "relu"), plans.Halve()]
    )
    model.add(keras.layers.Dense(5))

    def run(threads: int) -> bytes:
        keras.config.set_threads(threads)
        return model.predict(x, verbose=0).tobytes()

    expected = run(1)
    assert run(2) == expected
    assert run(3) == expected
    w0, b0, w1, b1 = (a.astype("float64") for a in model.get_weights())
    definition = 0.5 * np.maximum(x @ w0 + b0, 0) @ w1 + b1
    np.testing.assert_allclose(np.frombuffer(expected, "float32"), definition.ravel(), atol=1e-5)


def test_gradients_of_large_kernels(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((64, 1100)), rng.standard_normal((64, 5))
    built = plans.mlp([1100, 1030, 5], rng)

    def run(threads: int) -> list[bytes]:
        keras.config.set_threads(threads)
        losses, parameters, inputs = plans.gradients(built, [x], [y])
        return [a.tobytes() for a in (losses, *parameters, *inputs)]

    expected = run(1)
    assert run(2) == expected
    assert run(3) == expected


def test_a_wide_head_in_float32_over_bfloat16(rng: np.random.Generator) -> None:
    """Its kernel moves to the threads; the gradient it hands down is rounded there as elsewhere."""
    x, y = rng.standard_normal((40, 130)).astype("f"), rng.random((40, 60), "float32")

    def run(threads: int) -> list[bytes]:
        keras.config.set_threads(threads)
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((130,))])
        model.add(keras.layers.Dense(700, dtype="mixed_bfloat16"))
        model.add(keras.layers.Dense(60, dtype="float32"))
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(x, y, batch_size=8, verbose=0)
        return [w.tobytes() for w in model.get_weights()]

    expected = run(1)
    assert run(2) == expected
    assert run(3) == expected
