"""Mixed precision on the JAX engine: what it computes in, and that losses are scaled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest

import densekit as keras
from densekit.engines.jax.loop import Loop

X = np.linspace(-1, 1, 66, dtype="float32").reshape(22, 3)
Y = X[:, :2] ** 2


@pytest.fixture(params=["mixed_bfloat16", "mixed_float16"])
def policy(request: pytest.FixtureRequest) -> Iterator[str]:
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


def fitted(engine: str, y: Any = Y) -> Any:
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(8, "tanh"),
            keras.layers.Dropout(0.25, seed=1),
            keras.layers.Dense(2, dtype="float32"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", metrics=["mae"], engine=engine)
    model.fit(X, y, batch_size=5, epochs=3, verbose=0)
    return model


def test_products_are_in_few_bits_and_weights_keep_all(
    policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced: list[str] = []
    call = Loop.__call__

    def spy(self: Loop, *given: Any) -> Any:
        read, written, batches, run, rates, wanted = given
        counts = np.int32(run.steps), np.int32(run.full), np.int32(run.last)
        make = jax.make_jaxpr(self._run, static_argnums=(4,))
        if not traced:
            traced.append(str(make(read, written, batches, rates, wanted, counts)))
        return call(self, *given)

    monkeypatch.setattr(Loop, "__call__", spy)
    ours, native = fitted("jax"), fitted("native")
    short = {"mixed_bfloat16": "bf16", "mixed_float16": "f16"}[policy]
    products = [line for line in traced[0].splitlines() if "dot_general" in line]
    assert any(f":{short}[" in line for line in products)
    assert {v.dtype for v in ours.trainable_variables} == {"float32"}
    digits = 2.0**-8 if policy == "mixed_bfloat16" else 2.0**-11
    for one, two in zip(ours.get_weights(), native.get_weights(), strict=True):
        # Fifteen steps, each with some roundings to the few bits.
        np.testing.assert_allclose(one, two, rtol=0, atol=15 * digits)
    history = ours.history.history, native.history.history
    np.testing.assert_allclose(history[0]["loss"], history[1]["loss"], rtol=16 * digits)


def test_a_scale_that_overflows_is_halved_and_the_step_left_out() -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        ours, native = (fitted(engine, Y * 1e15) for engine in ("jax", "native"))
    finally:
        keras.config.set_dtype_policy("float32")
    assert type(ours.optimizer) is keras.optimizers.LossScaleOptimizer
    scales = [float(m.optimizer.dynamic_scale) for m in (ours, native)]
    assert scales[0] == scales[1] < 2.0**15
    for one, two in zip(ours.get_weights(), native.get_weights(), strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_array_equal(one, two)  # no step was made


@pytest.mark.parametrize("large", [2**32 + 5, -(2**31) - 1])
def test_whole_numbers_beyond_32_bits_are_looked_up_as_they_are(large: int) -> None:
    """Also where the rows before them fitted 32 bits."""
    small, rows = np.array([[5], [7]]), np.array([[large], [5], [5 + 2**32], [7]])
    found = []
    for engine in ("native", "jax"):
        given = keras.Input((1,), dtype="int64")
        at = keras.layers.IntegerLookup(vocabulary=[large, 5])(given)
        of_word = keras.layers.Embedding(3, 1, embeddings_initializer="ones")(at)
        model = keras.Model(given, keras.layers.Flatten()(of_word))
        model.set_weights([np.array([[0.0], [1.0], [2.0]])])
        model.compile("sgd", "mse", engine=engine)
        before = model.predict(small, verbose=0), model.predict(rows, verbose=0)
        model.fit(small, np.zeros((2, 1)), verbose=0)
        model.fit(rows, np.ones((4, 1)), batch_size=2, shuffle=False, verbose=0)
        found.append([*before, *model.get_weights()])
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)
