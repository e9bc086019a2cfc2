"""Dtype policies and the namespaces around them beside real Keras."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import densekit


def policies(lib: Any) -> Any:
    policy = lib.dtype_policies.DTypePolicy
    made = lib.dtype_policies.DTypePolicyMap(policy("mixed_bfloat16"), {"a/.*": policy("float16")})
    made["b"] = "bfloat16"
    return made


def test_maps_are_described_alike() -> None:
    config = keras.dtype_policies.serialize(policies(keras))
    assert densekit.dtype_policies.serialize(policies(densekit)) == config
    revived = densekit.dtype_policies.deserialize(config)
    assert revived == policies(densekit)
    layers = [lib.layers.Dense(2, dtype=policies(lib), name="b") for lib in (keras, densekit)]
    assert layers[1].get_config() == layers[0].get_config()
    for path in ("a/x", "b", "b/c", "q"):
        assert policies(densekit)[path].name == policies(keras)[path].name


def test_mixed_precision_has_the_names_of_keras() -> None:
    for room in ("mixed_precision",):
        theirs = {n for n in dir(getattr(keras, room)) if not n.startswith("_")}
        assert theirs <= set(dir(getattr(densekit, room)))
    assert densekit.mixed_precision.LossScaleOptimizer is densekit.optimizers.LossScaleOptimizer


@pytest.mark.parametrize("scale", [True, False])
def test_mixed_float16_wraps_the_optimizer(scale: bool, tmp_path: Path) -> None:
    made = []
    for lib in (keras, densekit):
        lib.config.set_dtype_policy("mixed_float16")
        try:
            model = lib.Sequential([lib.Input((3,)), lib.layers.Dense(2)])
        finally:
            lib.config.set_dtype_policy("float32")
        model.compile("sgd", "mse", auto_scale_loss=scale)
        x, y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")
        model.fit(x, y, verbose=0)
        made.append(model)
        assert type(model.optimizer).__name__ == ("LossScaleOptimizer" if scale else "SGD")
    theirs, ours = made
    assert [v.shape for v in ours.optimizer.variables] == [
        v.shape for v in theirs.optimizer.variables
    ]
    if not scale:  # which no file says: loaded, it would be wrapped
        return
    theirs.save(tmp_path / "theirs.keras")
    ours.save(tmp_path / "ours.keras")
    there = keras.models.load_model(tmp_path / "ours.keras")
    here = densekit.models.load_model(tmp_path / "theirs.keras")
    for one, other in ((there, ours), (here, theirs)):
        assert type(one.optimizer).__name__ == type(other.optimizer).__name__
        for a, b in zip(one.optimizer.variables, other.optimizer.variables, strict=True):
            np.testing.assert_array_equal(np.asarray(a.numpy()), np.asarray(b.numpy()))
    wrapped = densekit.optimizers.LossScaleOptimizer(densekit.optimizers.SGD())
    ours.compile(wrapped, "mse")
    assert ours.optimizer is wrapped


@pytest.mark.parametrize("policy", ["bfloat16", "float16"])
@pytest.mark.parametrize("optimizer", ["SGD", "RMSprop", "Adamax"])
def test_weights_of_half_precision_train(policy: str, optimizer: str) -> None:
    """Variables, computation and slots in 16 bits: losses as near as their last place allows."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 5)).astype("float32")
    y = np.sin(x.sum(1, keepdims=True)).astype("float32")
    start = [rng.normal(size=s) * 0.3 for s in ((5, 16), (16,), (16, 1), (1,))]
    losses = []
    for lib in (keras, densekit):
        layers = [lib.layers.Dense(16, "tanh", dtype=policy), lib.layers.Dense(1, dtype=policy)]
        model = lib.Sequential([lib.Input((5,)), *layers])
        model.set_weights(start)
        model.compile(getattr(lib.optimizers, optimizer)(0.02), "mse")
        history = model.fit(x, y, epochs=4, batch_size=16, shuffle=False, verbose=0)
        losses.append(history.history["loss"])
        assert {w.dtype for w in model.weights} == {policy}
    eps = 2.0**-9 if policy == "bfloat16" else 2.0**-12
    np.testing.assert_allclose(losses[1], losses[0], rtol=12 * eps)
    assert losses[1][-1] < 0.9 * losses[1][0]
