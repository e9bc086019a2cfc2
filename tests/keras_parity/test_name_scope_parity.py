"""Paths of variables and layers in name scopes, as Keras puts them together."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import densekit

X = np.ones((2, 3), "float32")
CASES: dict[str, Any] = {}


def case(function: Any) -> Any:
    CASES[function.__name__] = function
    return function


def dense(k: Any) -> Any:
    return k.layers.Dense(1, name="dense")


def paths(layer: Any) -> Any:
    return [v.path for v in layer.weights], layer.path


def own(k: Any, build: Any = None, call: Any = None) -> Any:
    """A layer with a dense layer inside and methods of the case's."""

    class Own(k.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.dense = dense(k)

        def build(self, input_shape: Any) -> None:
            if build is not None:
                build(self)

        def call(self, x: Any) -> Any:
            return self.dense(x) if call is None else call(self, x)

    return Own(name="own")


@case
def called(k: Any) -> Any:
    layer = dense(k)
    with k.name_scope("a"), k.name_scope("b"):
        layer(X)
    return paths(layer)


@case
def only_made(k: Any) -> Any:
    with k.name_scope("a"):
        layer = dense(k)
    layer(X)
    return paths(layer)


@case
def built(k: Any) -> Any:
    layer = dense(k)
    with k.name_scope("a"):
        layer.build((2, 3))
    return paths(layer)


@case
def sequential(k: Any) -> Any:
    with k.name_scope("a"):
        model = k.Sequential([k.Input((3,)), dense(k)], name="model")
    return paths(model), model.layers[0].path


@case
def functional(k: Any) -> Any:
    with k.name_scope("a"):
        x = k.Input((3,), name="x")
        model = k.Model(x, dense(k)(x), name="model")
    return paths(model), model.layers[1].path


@case
def weights_of_a_layer_inside_its_build(k: Any) -> Any:
    def build(layer: Any) -> None:
        with k.name_scope("q"):
            layer.one = layer.add_weight(shape=(1,), name="one")
        layer.two = layer.add_weight(shape=(1,), name="two")

    layer = own(k, build, lambda self, x: x)
    with k.name_scope("a"):
        layer(X)
    return paths(layer)


@case
def layers_called_inside_a_call(k: Any) -> Any:
    def call(layer: Any, x: Any) -> Any:
        with k.name_scope("q"):
            return layer.dense(x)

    found = []
    for scope in ("", "a"):
        layer = own(k, call=call)
        with k.name_scope(scope):
            layer(X)
        found += [paths(layer), layer.dense.path]
    return found


@case
def variables(k: Any) -> Any:
    caller = object()
    found = []
    for outer, inner in (
        ({}, {}),
        ({"caller": caller}, {"caller": caller}),
        ({"caller": caller}, {"caller": object()}),
        ({"caller": caller}, {"caller": caller, "deduplicate": False}),
        ({}, {"override_parent": "x/y"}),
        ({}, {"override_parent": ""}),
    ):
        with k.name_scope("a", **outer), k.name_scope("a", **inner):
            found.append(k.Variable(1.0, name="v").path)
        found.append(k.Variable(1.0, name="v").path)
    return found


@case
def others(k: Any) -> Any:
    layer = dense(k)
    layer(X)
    optimizer = k.optimizers.Adam(name="adam")
    with k.name_scope("a"):
        optimizer.build(layer.trainable_variables)
        metric = k.metrics.Mean(name="mean")
        seed = k.random.SeedGenerator(1, name="seed")
    found = [*optimizer.variables, *metric.variables, seed.state]
    return [variable.path for variable in found]


@pytest.mark.parametrize("name", CASES)
def test_paths(name: str) -> None:
    ours, theirs = (CASES[name](k) for k in (densekit, keras))
    assert ours == theirs
