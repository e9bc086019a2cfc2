"""Which subclassed models have a graph, and that it computes what `call` computes."""

from __future__ import annotations

import numpy as np
import pytest

import densekit as keras
from densekit.models._graph import run, substitute

L, ops = keras.layers, keras.ops


class Base(keras.Model):
    """Two layers and dropout; subclasses write the call."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = L.Dense(4, activation="relu"), L.Dense(2)
        self.drop = L.Dropout(0.5, seed=1)


class Passed(Base):
    def call(self, x, training=None):
        return self.b(self.drop(self.a(x), training=training))


class Implicit(Base):
    def call(self, x):
        return self.b(self.drop(self.a(x)))


class Ops(Base):
    def call(self, x):
        h = ops.concatenate([self.a(x), x], axis=-1)
        return self.b(h * 2.0 + np.arange(8, dtype="float32"))


class Repeated(Base):
    def call(self, x):
        for _ in range(3):
            x = self.a(x)
        return {"x": x, "y": [self.b(x)]}


class Loop(Base):
    """The loop runs over layers, not over values."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = [L.Dense(4) for _ in range(3)]

    def call(self, x):
        for block in self.blocks:
            x = x + block(x)
        return self.b(x)


class Always(Base):
    """Dropout at inference too."""

    def call(self, x):
        return self.b(self.drop(x, training=True))


class Branches(Base):
    def call(self, x, training=None):
        h = self.a(x)
        if training:
            h = self.drop(h, training=True)
        return self.b(h)


class Looks(Base):
    def call(self, x):
        return self.b(self.a(x) if float(ops.sum(x)) > 0 else x)


class Reads(Base):
    """A value computed from a weight would be frozen in a graph."""

    def build(self, shape) -> None:
        self.scale = self.add_weight(shape=(4,), initializer="ones", name="scale")
        super().build(shape)

    def call(self, x):
        return self.b(x * ops.exp(self.scale))


class Counts(Base):
    def __init__(self) -> None:
        super().__init__()
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        self.calls.assign_add(1.0)
        return self.b(x)


class Adds(Base):
    def call(self, x):
        h = self.a(x)
        self.add_loss(ops.sum(h))
        return self.b(h)


@pytest.fixture
def x(rng):
    return rng.normal(size=(5, 4)).astype("float32")


@pytest.mark.parametrize("cls", [Passed, Implicit, Ops, Repeated, Loop, Always])
def test_followed(cls, x) -> None:
    model = cls()
    model(x)
    graph = model._dk_graph()
    assert graph is not None and graph is model._dk_graph()
    values = {id(graph.inputs[0]): x}
    run(graph.nodes, values, lambda operation, args, kwargs: operation(*args, **kwargs))
    result = substitute(graph.output_structure, values)
    if cls is not Always:  # which draws anew
        expected = L.Layer.__call__(model, x)
        for a, b in zip(_leaves(result), _leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


def _leaves(value):
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in _leaves(value[key])]
    return (
        [leaf for item in value for leaf in _leaves(item)] if isinstance(value, list) else [value]
    )


@pytest.mark.filterwarnings("ignore:Looks.*can be followed")
@pytest.mark.parametrize("cls", [Branches, Looks, Reads, Counts])
def test_not_followed_but_still_right(cls, x) -> None:
    model = cls()
    y = model(x)
    assert model._dk_graph() is None
    np.testing.assert_allclose(y, L.Layer.__call__(model, x), rtol=1e-5, atol=1e-6)


def test_losses_that_a_call_adds_are_part_of_the_graph(x) -> None:
    model = Adds()
    y = model(x)
    graph = model._dk_graph()
    assert len(graph.losses) == 1
    np.testing.assert_allclose(y, L.Layer.__call__(model, x), rtol=1e-5, atol=1e-6)
    assert len(model.losses) == 1


def test_why_a_call_is_not_followed_is_said_once(x) -> None:
    class Own(Base):
        def call(self, x):
            return self.b(x) * float(ops.sum(x))

    with pytest.warns(UserWarning, match="(?s)Own.*ValueError: KerasTensor: expected a value"):
        Own()(x)
    again = Own()
    again(x)  # a second warning would be an error
    again.compile("sgd", "mse")
    again.fit(x, x[:, :2], verbose=0)


def test_a_passed_on_flag_is_no_constant(x) -> None:
    model = Passed()
    model(x)
    assert all("training" not in node.kwargs for node in model._dk_graph().nodes)
    fixed = Always()
    fixed(x)
    assert [node.kwargs for node in fixed._dk_graph().nodes if node.kwargs] == [{"training": True}]


def test_following_leaves_no_trace_in_the_layers(x) -> None:
    model = Repeated()
    model(x)
    model._dk_graph()
    calls = [len(layer._inbound_nodes) for layer in model.layers]
    for _ in range(2):
        model.a.activation = keras.activations.tanh  # a change: the graph is made anew
        model._dk_graph()
    assert [len(layer._inbound_nodes) for layer in model.layers] == calls


def test_variable_values_are_read_when_the_model_runs(x) -> None:
    model = Reads()
    before = model(x)
    model.scale.assign(np.full(4, -50.0))
    after = model(x)
    assert np.abs(after - before).max() > 1e-3
