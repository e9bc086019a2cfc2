"""Versions: what a layer tells of, and to whom."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit.layers import Dense, Dropout, Layer

X = np.ones((2, 3), "float32")


class Noting(Layer):
    """Keeps things that its plan may or may not depend on."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner = Dense(3)
        self.scale = 1.0
        self.parts = [Dense(3), Dense(3)]
        self.log: list[float] = []

    def build(self, input_shape: Any) -> None:
        for layer in (self.inner, *self.parts):
            layer.build(input_shape)

    def call(self, x: Any) -> Any:
        self.last = x
        self.scale_seen = self.scale
        self.log.append(1.0)
        return self.inner(x) * self.scale


def version(layer: Any) -> int:
    return int(layer._tracker.current())


@pytest.fixture
def layer() -> Any:
    made = Noting()
    made(X)
    return made


CHANGES: dict[str, Callable[[Any], Any]] = {
    "attribute": lambda layer: setattr(layer, "scale", 2.0),
    "new attribute": lambda layer: setattr(layer, "other", 2.0),
    "deleted attribute": lambda layer: delattr(layer, "scale"),
    "array": lambda layer: setattr(layer, "scale", np.ones(3)),
    "attribute of a part": lambda layer: setattr(layer.inner, "activation", keras.ops.tanh),
    "activity regularizer": lambda layer: setattr(layer, "activity_regularizer", abs),
    "dtype policy": lambda layer: setattr(layer.inner, "dtype_policy", "float64"),
    "list": lambda layer: layer.parts.pop(),
    "order": lambda layer: layer.parts.reverse(),
    "deleted variable": lambda layer: delattr(layer.inner, "bias"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_a_plan_may_depend_on_counts(layer: Any, change: Callable[[Any], Any]) -> None:
    before = version(layer)
    change(layer)
    assert version(layer) != before


SAME: dict[str, Callable[[Any], Any]] = {
    "call": lambda layer: layer(X),
    "value of a variable": lambda layer: layer.inner.kernel.assign(np.ones((3, 3))),
    "same number": lambda layer: setattr(layer, "scale", float("1.0")),
    "same object": lambda layer: setattr(layer, "inner", layer.inner),
    "weights": lambda layer: layer.set_weights(layer.get_weights()),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_changes_no_plan_does_not_count(layer: Any, change: Callable[[Any], Any]) -> None:
    before = version(layer)
    change(layer)
    assert version(layer) == before


def test_trainable_has_a_number_of_its_own(layer: Any) -> None:
    before, flags = version(layer), layer._tracker.flags
    layer.parts[0].trainable = False
    assert version(layer) == before
    assert layer._tracker.flags != flags


def test_every_owner_hears_of_a_shared_layer_and_no_other() -> None:
    shared = Dense(3)
    first, second, other = (
        keras.Sequential([keras.Input((3,)), d]) for d in (shared, shared, Dense(3))
    )
    nested = keras.Sequential([keras.Input((3,)), first])
    models = (first, second, nested, other)
    before = [version(model) for model in models]
    shared.activation = keras.activations.relu
    changed = [version(model) != old for model, old in zip(models, before, strict=True)]
    assert changed == [True, True, True, False]


def test_owners_in_a_ring_hear_once() -> None:
    one, two = Noting(), Noting()
    one.other, two.other = two, one
    versions = version(one), version(two)
    one.changed = two.inner.name = 1
    two.inner.built = True
    two.inner.activation = keras.activations.relu
    assert version(one) != versions[0] and version(two) != versions[1]


def test_a_layer_added_later_is_heard_too() -> None:
    model = keras.Sequential([keras.Input((3,)), Dense(3)])
    version(model)
    late = Dropout(0.5)
    model.add(late)
    before = version(model)
    late.rate = 0.25
    assert version(model) != before


def test_a_layer_that_is_no_attribute_is_heard() -> None:
    hidden = Dense(3)

    class Around(keras.Model):
        def call(self, x: Any) -> Any:
            return hidden(x)

    model = Around()
    expected = model.predict(X, verbose=0)
    hidden.activation = keras.activations.softplus
    assert (model.predict(X, verbose=0) != expected).all()


def test_copies_have_listeners_of_their_own() -> None:
    model = keras.Sequential([keras.Input((3,)), Dense(3)])
    version(model)
    copied = copy.deepcopy(model)
    before = version(model), version(copied)
    copied.layers[0].activation = keras.activations.relu
    assert version(model) == before[0]
    assert version(copied) != before[1]


def test_listeners_are_not_kept_alive() -> None:
    shared = Dense(3)
    for _ in range(5):
        model = keras.Sequential([keras.Input((3,)), shared])
        version(model)
        gone = weakref.ref(model)
        del model
        gc.collect()
        assert gone() is None
    assert len(shared._tracker._subscribers) == 0


def test_a_list_takes_what_an_iterator_gives(layer: Any) -> None:
    kept = Noting()
    kept.parts.extend(Dense(n) for n in (1, 2))
    kept.parts += (Dense(n) for n in (3,))
    assert [part.units for part in kept.parts] == [3, 3, 1, 2, 3]
    assert len(kept._tracker.layers) == 6
