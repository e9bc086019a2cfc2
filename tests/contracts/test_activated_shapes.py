"""Every activation: the symbolic shape behind a layer is that of the array it gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit._core import rooms
from densekit._core.registry import components

# Look-ups, and a function that needs more than its input.
NO_FUNCTION_OF_X = {"get", "serialize", "deserialize", "threshold"}

rooms.load_all()
ACTIVATIONS = sorted(components("keras.activations").keys() - NO_FUNCTION_OF_X)


def first_half(x: Any) -> Any:
    """A user's activation that narrows its input."""
    return x[..., : x.shape[-1] // 2]


def test_the_walk_finds_them() -> None:
    assert {"relu", "glu", "softmax"} <= set(ACTIVATIONS)


@pytest.mark.parametrize("activation", [*ACTIVATIONS, first_half])
def test_layers_can_follow_any_activation(activation: Any) -> None:
    x = np.ones((5, 4), "float32")
    for layer in (keras.layers.Dense(6, activation), keras.layers.Activation(activation)):
        model = keras.Sequential([keras.Input((4,)), layer])
        made = layer(x)
        assert model.output_shape == (None, *made.shape[1:])
        model.add(keras.layers.Dense(2))
        assert model.predict(x, verbose=0).shape == (5, 2)
        model.compile("sgd", "mse")
        assert np.isfinite(model.fit(x, x[:, :2], verbose=0).history["loss"][0])


def test_a_layer_as_activation_gives_its_shape() -> None:
    layer = keras.layers.Dense(6, keras.layers.Activation("glu"))
    assert layer(keras.Input((2,))).shape == (None, 3)
    assert keras.layers.Dense(6, keras.layers.PReLU())(keras.Input((2,))).shape == (None, 6)
