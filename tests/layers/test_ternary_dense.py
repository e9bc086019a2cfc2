"""`TernaryDense`: three values, and a gradient that lets weights move between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import densekit as keras

X = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")


@pytest.mark.parametrize("threshold", [None, 0.0, 0.2, 1e9])
def test_weights_count_by_their_sign(threshold: float | None) -> None:
    layer = keras.layers.TernaryDense(5, threshold, bias_initializer="ones")
    outputs = layer(X)
    kernel = layer.kernel.numpy()
    limit = np.abs(kernel).mean() if threshold is None else threshold
    wanted = X @ (np.sign(kernel) * (np.abs(kernel) > limit)) + 1
    np.testing.assert_allclose(outputs, wanted, rtol=1e-5, atol=1e-6)


def test_it_learns_and_comes_back_from_a_file(tmp_path: Path) -> None:
    signs = np.random.default_rng(1).integers(-1, 2, (6, 3)).astype("float32")
    target = X @ signs
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.TernaryDense(3, 0.1, kernel_constraint="max_norm")]
    )
    model.compile(keras.optimizers.Adam(0.02), "mse")
    before = model.evaluate(X, target, verbose=0)
    model.fit(X, target, epochs=60, batch_size=16, verbose=0)
    assert model.evaluate(X, target, verbose=0) < 0.2 * before
    model.save(tmp_path / "m.keras")
    read = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(read.predict(X, verbose=0), model.predict(X, verbose=0))


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="`units`"):
        keras.layers.TernaryDense(0)
    with pytest.raises(ValueError, match="`threshold`"):
        keras.layers.TernaryDense(2, "large")
