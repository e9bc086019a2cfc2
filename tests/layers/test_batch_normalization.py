"""`BatchNormalization` in plans: with a mask natively, by the numbers of its definition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import layers
from densekit.engines.native import get_threads, set_threads

RNG = np.random.default_rng(5)
X = RNG.standard_normal((150, 5, 4)) * [1, 5, 0.1, 2] + [0, 3, -1, 0]
X[RNG.random((150, 5)) < 0.3] = 0
Y = RNG.standard_normal((150, 5, 2))


@pytest.fixture(autouse=True)
def _restore_settings() -> Iterator[None]:
    threads, floatx = get_threads(), keras.config.floatx()
    yield
    set_threads(threads)
    keras.config.set_floatx(floatx)


def masked(engine: str, dtype: str = "float64", **arguments: Any) -> Any:
    keras.config.set_floatx(dtype)
    keras.utils.set_random_seed(3)
    inputs = keras.Input((5, 4))
    x = layers.Dense(6, activation="tanh")(layers.Masking()(inputs))
    x = layers.BatchNormalization(momentum=0.8, **arguments)(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", engine=engine)
    return model


def trained(model: Any, x: Any = X, y: Any = Y) -> list[Any]:
    dtype = model.inputs[0].dtype
    x, y = x.astype(dtype), y.astype(dtype)
    history = model.fit(x, y, batch_size=len(x), epochs=4, verbose=0, shuffle=False)
    return [np.array(history.history["loss"]), *model.get_weights(), model.predict(x, verbose=0)]


@pytest.mark.parametrize("arguments", [{}, {"center": False, "scale": False}])
def test_with_a_mask_it_trains_as_its_definition_does(arguments: Any) -> None:
    native = masked("native", **arguments)
    assert "  Python" not in str(native.explain_plan())
    wanted = trained(masked("reference", **arguments))
    for a, b in zip(trained(native), wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_a_batch_of_which_nothing_counts() -> None:
    x = np.zeros((3, 5, 4))
    found = (trained(masked(engine), x, Y[:3]) for engine in ("native", "reference"))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_do_not_depend_on_threads(dtype: str) -> None:
    found = []
    for threads in (1, 2, 3, 5):
        set_threads(threads)
        found.append([a.tobytes() for a in trained(masked("native", dtype))])
    assert all(bits == found[0] for bits in found[1:])


@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("renorm", [False, True])
def test_masks_of_any_positions_count_as_the_definition_says(axis: int, renorm: bool) -> None:
    found = []
    for engine in ("native", "reference"):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((5, 4))
        x = layers.Dense(4)(layers.Masking()(inputs))
        model = keras.Model(inputs, layers.BatchNormalization(axis=axis, renorm=renorm)(x))
        model.compile("sgd", "mse", engine=engine)
        rows = X.astype("float32")
        rows[::3, 2:] = 0
        losses = model.fit(rows, rows, batch_size=4, shuffle=False, verbose=0).history["loss"]
        if engine == "native":
            assert "0 of" in model.explain_plan()
        found.append([losses, *model.get_weights()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("axis", [-1, 1])
def test_one_truth_of_a_mask_may_stand_for_several_positions(axis):
    x = np.random.default_rng(0).normal(size=(5, 2, 3, 4)).astype("float32")
    mask = np.array([[[True], [False]], [[True], [True]], [[False], [True]]] * 2)[:5]
    found = []
    for given in (mask, np.repeat(mask, 3, axis=2)):
        layer = keras.layers.BatchNormalization(axis=axis, momentum=0.0)
        y = layer(x, training=True, mask=given)
        found.append([np.asarray(y), *layer.get_weights()])
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)
