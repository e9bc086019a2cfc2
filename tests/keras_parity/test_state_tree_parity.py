"""State trees have the keys of Keras', and are given back whole."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import densekit


def model(room: Any) -> Any:
    layers = [room.Input((2,)), room.layers.Dense(3, name="a"), room.layers.Dense(1, name="b")]
    built = room.Sequential(layers, name="net")
    built.compile(room.optimizers.Adam(name="adam"), "mse", metrics=["mae"])
    built.fit(np.ones((8, 2), "float32"), np.ones((8, 1), "float32"), verbose=0)
    return built


def shapes(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: shapes(value) for key, value in tree.items()}
    return np.shape(tree)


def test_keys_and_shapes() -> None:
    for value_format in ("backend_tensor", "numpy_array"):
        ours = shapes(model(densekit).get_state_tree(value_format))
        theirs = shapes(model(keras).get_state_tree(value_format))
        assert list(ours) == list(theirs)
        for kind in ("trainable_variables", "non_trainable_variables", "optimizer_variables"):
            assert ours[kind] == theirs[kind]
        assert ours["metrics_variables"] == theirs["metrics_variables"]


def test_state_is_given_back() -> None:
    first, second = model(densekit), model(densekit)
    tree = first.get_state_tree()
    second.set_state_tree(tree)
    for a, b in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    for a, b in zip(first.optimizer.variables, second.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    tree["trainable_variables"]["net"]["a"]["kernel"][...] = 7  # memory of its own
    assert not (first.get_weights()[0] == 7).any()


def test_a_tree_that_does_not_fit_changes_nothing() -> None:
    built = model(densekit)
    before = built.get_weights()
    tree = {"trainable_variables": {"net": {"a": {"bias": np.ones(3), "kernel": np.ones(2)}}}}
    with pytest.raises(ValueError, match="shape"):
        built.set_state_tree(tree)
    np.testing.assert_array_equal(built.get_weights()[1], before[1])
    for room in (keras, densekit):
        with pytest.raises(ValueError):
            model(room).set_state_tree({"weights": {}})
        with pytest.raises(ValueError):
            model(room).get_state_tree("list")
        with pytest.raises(NotImplementedError):
            model(room).add_metric(1.0, name="m")
