"""Rules that rooms outside of `layers` register are what plans are made by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit.engines import registry
from densekit.engines.plan import NotLowerable
from densekit.engines.registry import lowering_for, lowers

L = keras.layers
X = np.random.default_rng(2).normal(size=(12, 3)).astype("float32")


class Doubled(L.Layer):
    """Says by a rule alone how it is lowered: what it reads cannot be followed."""

    def call(self, x: Any) -> Any:
        return x * (2.0 + 0.0 * float(keras.ops.max(x)))


class More(Doubled):
    def call(self, x: Any) -> Any:
        return x * (3.0 + 0.0 * float(keras.ops.max(x)))


@pytest.fixture(autouse=True)
def own_rules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_by_type", dict(registry._by_type))
    yield


def model_of(layer: Any) -> Any:
    x = L.Input((3,))
    model = keras.Model(x, layer(x))
    model.compile("sgd", "mse")
    return model


def runs_natively(model: Any) -> bool:
    return "Python" not in str(model.explain_plan())


def test_a_rule_for_a_users_type_is_used() -> None:
    asked: list[Any] = []

    @lowers(Doubled)
    def rule(plan: Any, layer: Any, args: Any, kwargs: Any) -> Any:
        asked.append(layer)
        return plan.elementwise("multiply", args[0], 2.0)

    layer = Doubled()
    model = model_of(layer)
    np.testing.assert_array_equal(model.predict(X, verbose=0), 2 * X)
    model.fit(X, X, verbose=0)
    assert set(asked) == {layer}
    assert lowering_for(Doubled) is rule


def test_a_rule_is_for_exactly_its_type() -> None:
    @lowers(Doubled)
    def rule(plan: Any, layer: Any, args: Any, kwargs: Any) -> Any:
        raise AssertionError("a subclass has another formula")

    np.testing.assert_array_equal(model_of(More()).predict(X, verbose=0), 3 * X)


def test_a_rule_that_declines_leaves_the_layer_to_python() -> None:
    @lowers(Doubled)
    def rule(plan: Any, layer: Any, args: Any, kwargs: Any) -> Any:
        raise NotLowerable("it is a rainy day")

    model = model_of(Doubled())
    np.testing.assert_array_equal(model.predict(X, verbose=0), 2 * X)
    assert "it is a rainy day" in str(model.explain_plan())
