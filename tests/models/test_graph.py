"""Finding and ordering the calls between symbolic tensors."""

from __future__ import annotations

import pytest

import densekit as keras
from densekit.models._graph import nodes_between, ordered_operations

L = keras.layers


def test_every_node_comes_after_those_it_needs() -> None:
    a, b = keras.Input((4,)), keras.Input((4,))
    shared = L.Dense(4)
    mixed = L.Add()([shared(a), shared(b)])
    out = L.Concatenate()([L.Dense(2)(mixed), mixed])
    nodes, operations = nodes_between([a, b], [out], "test")
    made = set()
    for node in nodes:
        assert all(id(tensor) in made for tensor in node.input_tensors)
        made |= {id(tensor) for tensor in node.outputs}
    assert len(nodes) == 7 and len(operations) == 6  # the shared layer is called twice


def test_operations_go_from_far_to_near() -> None:
    x = keras.Input((4,), name="x")
    deep = L.Dense(4, name="three")(L.Dense(4, name="two")(L.Dense(4, name="one")(x)))
    out = L.Add(name="sum")([L.Dense(4, name="short")(x), deep])
    nodes, met = nodes_between([x], [out], "test")
    names = [o.name for o in ordered_operations([x], nodes, met)]
    assert names == ["x", "one", "two", "short", "three", "sum"]


def test_only_what_the_outputs_need() -> None:
    x = keras.Input((4,))
    used, _unused = L.Dense(2)(x), L.Dense(3)(x)
    nodes, _ = nodes_between([x], [used], "test")
    assert len(nodes) == 2


def test_a_missing_input_is_named() -> None:
    x, y = keras.Input((4,)), keras.Input((4,), name="other")
    with pytest.raises(ValueError, match="not connected"):
        nodes_between([x], [L.Add()([x, y])], "test")


def test_depth_costs_no_recursion() -> None:
    x = given = keras.Input((1,))
    layer = L.Identity()
    for _ in range(3000):
        x = layer(x)
    assert len(nodes_between([given], [x], "test")[0]) == 3001
