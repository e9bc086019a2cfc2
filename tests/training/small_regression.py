"""A small regression, and networks trained on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import densekit as keras

X = np.linspace(-1, 1, 160).reshape(40, 4).astype("float32")
Y = (X @ np.array([1.0, -2.0, 3.0, 0.5], "float32")).astype("float32")


def model_of(*hidden: Any, units: int = 1, **compile_args: Any) -> Any:
    model = keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(units)])
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compile_args})
    return model


def trained(x: Any, y: Any, **fit: Any) -> list[npt.NDArray[Any]]:
    """Weights after training a fresh model on the data."""
    keras.utils.set_random_seed(5)
    model = model_of(keras.layers.Dense(3, activation="tanh"))
    model.fit(x, y, **{"verbose": 0, "batch_size": 8, "shuffle": False, **fit})
    weights: list[npt.NDArray[Any]] = model.get_weights()
    return weights


def assert_same(a: list[npt.NDArray[Any]], b: list[npt.NDArray[Any]]) -> None:
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one, other)
