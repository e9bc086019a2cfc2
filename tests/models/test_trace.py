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
    """A value computed from a weight is a node of its graph."""

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


class Draws(Base):
    """The usual way to write noise."""

    def __init__(self) -> None:
        super().__init__()
        self.seed = keras.random.SeedGenerator(2)

    def call(self, x, training=False):
        h = self.a(x)
        if training:
            h = h + 0.1 * keras.random.normal(ops.shape(h), seed=self.seed)
            self.add_loss(0.5 * ops.mean(h**2))
        return self.b(h)


class Trains(Base):
    """A call that says nothing is one of training."""

    def call(self, x, training=True):
        h = self.a(x)
        return self.b(h * 2 + 0.1 if training else h)


def alone(cls):
    return cls()


def inside(cls):
    inputs = keras.Input((4,))
    return keras.Model(inputs, L.Dense(2)(cls()(inputs) * 2))


def told(cls):
    inputs = keras.Input((4,))
    return keras.Model(inputs, L.Dense(2)(cls()(inputs, training=True)))


@pytest.mark.parametrize("cls", [Branches, Draws, Trains])
@pytest.mark.parametrize("made", [alone, inside, told])
def test_training_may_have_calls_of_its_own(cls, made, x) -> None:
    def results(engine):
        keras.utils.set_random_seed(0)
        model = made(cls)
        model(x)
        model.compile(keras.optimizers.SGD(0.1), "mse", engine=engine)
        y = np.ones((len(x), 2), "float32")
        for call in (lambda: model(x, training=True), lambda: model(x)):
            with keras.GradientTape() as tape:
                loss = ops.mean(call() ** 2)
            yield from tape.gradient(loss, model.trainable_variables)
        yield model.fit(x, y, epochs=2, verbose=0, validation_data=(x, y)).history["loss"]
        yield model(x)
        yield model(x, training=False)
        yield model.predict(x, verbose=0)
        yield model.evaluate(x, y, verbose=0)
        if engine == "native":
            assert "0 of" in model.explain_plan()
            assert "0 of" in model.explain_plan(training=False)

    native, expected = ([*results(engine)] for engine in ("native", "reference"))
    for one, other in zip(native, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*can be followed")
@pytest.mark.parametrize("cls", [Looks, Counts])
def test_not_followed_but_still_right(cls, x) -> None:
    model = cls()
    y = model(x)
    assert model._dk_graph() is None
    np.testing.assert_allclose(y, L.Layer.__call__(model, x), rtol=1e-5, atol=1e-6)


def test_formulas_of_weights_follow_the_weights(x) -> None:
    model = Reads()
    model(x)
    assert model._dk_graph() is not None
    assert "0 of" in model.explain_plan()
    for value in (0.0, 1.0):
        model.scale.assign(np.full(4, value))
        np.testing.assert_allclose(model(x), L.Layer.__call__(model, x), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(model.predict(x, verbose=0), model(x))
    model.summary(print_fn=lambda line: None)


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


def test_whatever_the_reason_is_it_is_said(x) -> None:
    class Freezes(Base):
        def __init__(self) -> None:
            super().__init__()
            self.w = self.add_weight(shape=(), initializer="ones", name="w")

        def call(self, x):
            return self.b(x) * float(self.w.numpy())

    with pytest.warns(UserWarning, match="Freezes.*one where it reads the value of 'freezes/w'"):
        model = Freezes()
        model(x)
    reason = "Python: its `call` cannot be followed: it reads the value of 'freezes/w'"
    assert reason in model.explain_plan()


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
