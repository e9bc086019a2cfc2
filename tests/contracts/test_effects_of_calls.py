"""What a call writes, adds to the loss and is told: the same natively as by the definition.

The walk takes every layer of the registry that has state, and layers of users.
"""

from __future__ import annotations

import inspect
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.contracts.test_layers_contract import SAMPLES, create

import densekit as keras
from densekit import layers, ops, random
from densekit.layers import Layer

X = np.linspace(-1, 1, 210).reshape(70, 3).astype("float32")
Y = X[:, :2]


class Noisy(layers.Layer):
    """Draws in each call."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.generator = random.SeedGenerator(3)

    def call(self, inputs: Any) -> Any:
        """Adds noise."""
        return inputs + random.normal(ops.shape(inputs), seed=self.generator)


class Counting(layers.Layer):
    """Counts calls and rows, and remembers a mean."""

    def build(self, input_shape: Any) -> None:
        """The counters."""
        self.calls = self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False)
        self.mean = self.add_weight(shape=input_shape[1:], initializer="zeros", trainable=False)

    def call(self, inputs: Any) -> Any:
        """The inputs less the running mean."""
        self.calls.assign(self.calls + 1)
        self.mean.assign(0.9 * self.mean + 0.1 * ops.mean(inputs, axis=0))
        return inputs - self.mean


def always_training(layer: Any) -> Any:
    """The same layer with a `call` that is always told to train, as in Monte-Carlo dropout."""
    kind = type(layer)

    class Always(kind):  # type: ignore[misc, valid-type]
        def call(self, inputs: Any, training: Any = None) -> Any:
            return super().call(inputs, training=True)

    return Always.from_config(layer.get_config())


def stateful() -> dict[str, Any]:
    """Makers of layers with state, on inputs of 3 columns."""
    found: dict[str, Any] = {"Noisy": Noisy, "Counting": Counting}
    for name, entries in SAMPLES.items():
        for i, (arguments, shape) in enumerate(entries):
            if shape != (3,):
                continue
            layer = create(name, arguments)
            layer(X)
            if layer.non_trainable_variables:
                found[f"{name}-{i}"] = lambda name=name, a=arguments: create(name, a)
    return found


STATEFUL = stateful()


def is_told(name: str) -> bool:
    """Whether it is a layer of ours whose `call` takes `training`."""
    return "-" in name and "training" in inspect.signature(STATEFUL[name]().call).parameters


def state(model: Any) -> list[npt.NDArray[Any]]:
    return [np.array(v.value) for v in model.non_trainable_variables]


def assert_same(a: list[Any], b: list[Any]) -> None:
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


def model_of(layer: Any, subclass: bool) -> Any:
    keras.utils.set_random_seed(2)
    head = layers.Dense(2, kernel_initializer="ones")
    if not subclass:
        model: Any = keras.Sequential([keras.Input((3,)), layer, layers.Flatten(), head])
    else:

        class Own(keras.Model):
            def __init__(self) -> None:
                super().__init__()
                self.first, self.flat, self.head = layer, layers.Flatten(), head

            def call(self, inputs: Any) -> Any:
                return self.head(self.flat(self.first(inputs)))

        model = Own()
        model.build((None, 3))
    model.compile(keras.optimizers.SGD(0.0), "mse")
    return model


def by_hand(model: Any, batch: int, training: bool = False) -> npt.NDArray[Any]:
    parts = [X[i : i + batch] for i in range(0, len(X), batch)]
    return np.concatenate([Layer.__call__(model, part, training=training) for part in parts])


def test_the_walk_finds_the_stateful_layers() -> None:
    assert {"Dropout-0", "GaussianNoise-0", "AlphaDropout-0"} <= set(STATEFUL)


@pytest.mark.parametrize("subclass", [False, True])
@pytest.mark.parametrize(
    ("name", "always"),
    [(name, False) for name in STATEFUL] + [(name, True) for name in STATEFUL if is_told(name)],
)
def test_calls_write_state_as_the_definition_does(name: str, always: bool, subclass: bool) -> None:
    def make() -> Any:
        layer = STATEFUL[name]()
        keras.utils.set_random_seed(4)  # seeds that are not given
        return model_of(always_training(layer) if always else layer, subclass)

    model, other = make(), make()
    for variable, given in zip(other.variables, model.variables, strict=True):
        variable.assign(given)
    for _ in range(2):
        assert_same([model.predict(X, batch_size=32, verbose=0)], [by_hand(other, 32)])
        assert_same(state(model), state(other))
    assert_same([model.predict_on_batch(X)], [by_hand(other, 70)])
    assert_same([model(X)], [np.asarray(Layer.__call__(other, X))])
    loss = model.evaluate(X, Y, batch_size=70, verbose=0)
    np.testing.assert_allclose(loss, np.mean((by_hand(other, 70) - Y) ** 2), rtol=1e-5)
    model.evaluate(X, Y, batch_size=32, verbose=0)
    by_hand(other, 32)
    assert_same(state(model), state(other))
    model.test_on_batch(X, Y)
    by_hand(other, 70)
    model.fit(X, Y, batch_size=32, shuffle=False, verbose=0)
    by_hand(other, 32, training=True)
    assert_same(state(model), state(other))
    model.train_on_batch(X, Y)
    by_hand(other, 70, training=True)
    assert_same(state(model), state(other))


def test_threads_that_predict_share_state_without_losing_a_call() -> None:
    model = keras.Sequential([keras.Input((3,)), Noisy(), Counting()])
    model.predict(X[:1], verbose=0)
    made: list[Any] = []

    def work() -> None:
        made.extend(model(X[:4]) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert int(model.layers[1].calls) == 201
    assert int(np.asarray(model.layers[0].generator.state.value)[1]) == 201
    assert len({np.asarray(y).tobytes() for y in made}) == 200  # no draw twice


class Doubling(layers.Layer):
    """Assigns to a weight that optimizers train."""

    def build(self, input_shape: Any) -> None:
        """The weight."""
        self.factor = self.add_weight(shape=(), initializer="ones")

    def call(self, inputs: Any) -> Any:
        """Doubles it."""
        self.factor.assign(2.0 * self.factor)
        return inputs * self.factor


def test_weights_that_a_call_assigns_stay_where_keras_keeps_them() -> None:
    model = keras.Sequential([keras.Input((3,)), Doubling()])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    factor = model.layers[0].factor
    model.predict(X, verbose=0)
    model.evaluate(X, X, verbose=0)
    model.fit(X, X, verbose=0)
    assert float(factor) == 1
    for times in (2, 4):
        np.testing.assert_allclose(model(X), times * X)
        assert float(factor) == times


@pytest.mark.parametrize("mixes", [True, False])
def test_layers_that_look_at_the_batch_see_batches(mixes: bool) -> None:
    seen: list[int] = []

    class Centred(layers.Layer):
        def call(self, inputs: Any) -> Any:
            seen.append(len(inputs))
            return inputs - ops.mean(inputs, axis=0 if mixes else -1, keepdims=True)

    model = keras.Sequential([keras.Input((3,)), Centred()])
    wanted = np.concatenate([np.asarray(Layer.__call__(model, X[i : i + 32])) for i in (0, 32, 64)])
    model.predict(X[:1], verbose=0)
    seen.clear()
    np.testing.assert_allclose(model.predict(X, batch_size=32, verbose=0), wanted, atol=1e-6)
    assert seen == ([32, 32, 6] if mixes else [70])


def flagged(kind: str, flag: Any) -> Any:
    """A functional model with a `training` flag in its graph."""
    x = keras.Input((3,))
    dropout = layers.Dropout(0.5, seed=1)
    if kind == "layer":
        return keras.Model(x, dropout(x, training=flag))
    if kind == "noise":
        return keras.Model(x, layers.GaussianNoise(0.5, seed=1)(x, training=flag))
    inner_x = keras.Input((3,))
    if kind == "inside":
        inner = keras.Model(inner_x, dropout(inner_x, training=flag))
        return keras.Model(x, inner(x))
    if kind == "sequential":
        return keras.Model(x, keras.Sequential([dropout])(x, training=flag))
    return keras.Model(x, keras.Model(inner_x, dropout(inner_x))(x, training=flag))


@pytest.mark.parametrize("kind", ["layer", "noise", "inside", "nested", "sequential"])
@pytest.mark.parametrize("flag", [True, False, None])
def test_a_flag_in_a_graph_holds_while_the_model_is_told_nothing(
    kind: str, flag: Any, tmp_path: Any
) -> None:
    ones = np.ones((8, 3), "float32")
    model = flagged(kind, flag)
    model.save(tmp_path / "it.keras")
    loaded = keras.models.load_model(tmp_path / "it.keras")
    for one in (model, loaded, keras.models.clone_model(model)):
        one.compile("sgd", "mse")

        def is_drawn(y: Any) -> bool:
            return not np.array_equal(y, ones)

        assert is_drawn(one(ones)) is bool(flag)
        assert is_drawn(one.predict(ones, verbose=0)) is False
        assert is_drawn(one(ones)) is bool(flag)
        assert is_drawn(one(ones, training=False)) is False
        assert is_drawn(one(ones, training=True)) is True
        assert is_drawn(one.predict_on_batch(ones)) is False
        assert one.evaluate(ones, ones, verbose=0) == 0
        assert one.fit(ones, ones, verbose=0).history["loss"][0] > 0
        if flag:
            assert not np.array_equal(one(ones), one(ones))


@pytest.mark.parametrize("flag", [True, False])
def test_a_flag_in_a_call_of_the_user_holds_always(flag: bool) -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dropout = layers.Dropout(0.5, seed=1)

        def call(self, inputs: Any, training: Any = None) -> Any:
            return self.dropout(inputs, training=flag)

    ones = np.ones((8, 3), "float32")
    model = Own()
    model.compile("sgd", "mse")
    for y in (
        model(ones),
        model(ones, training=not flag),
        model.predict(ones, verbose=0),
        model.predict_on_batch(ones),
    ):
        assert np.array_equal(y, ones) is not flag
    assert (model.evaluate(ones, ones, verbose=0) > 0) is flag
    assert (model.fit(ones, ones, verbose=0).history["loss"][0] > 0) is flag


@pytest.mark.parametrize("asks", [True, False])
def test_a_call_that_does_not_ask_is_told_nothing_by_predict(asks: bool) -> None:
    class Silent(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = flagged("layer", True)

        def call(self, inputs: Any) -> Any:
            return self.inner(inputs)

    class Asking(Silent):
        def call(self, inputs: Any, training: Any = None) -> Any:
            return self.inner(inputs, training=training)

    ones = np.ones((8, 3), "float32")
    model = Asking() if asks else Silent()
    model.compile("sgd", "mse")
    assert not np.array_equal(model(ones), ones)
    assert np.array_equal(model(ones, training=False), ones)
    assert np.array_equal(model.predict(ones, verbose=0), ones) is asks
    assert (model.evaluate(ones, ones, verbose=0) == 0) is asks


class Adding(layers.Layer):
    """Adds to the loss."""

    def call(self, inputs: Any) -> Any:
        """The inputs."""
        self.add_loss(2.0 * ops.mean(inputs))
        return inputs


class Measuring(layers.Layer):
    """Updates a metric."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = keras.metrics.Mean(name="seen")

    def call(self, inputs: Any) -> Any:
        """The inputs."""
        self.mean.update_state(ops.mean(inputs))
        return inputs


DEAD_BRANCHES: dict[str, Any] = {
    "penalty": (lambda: layers.ActivityRegularization(l2=1.0), 3.0),
    "dense": (lambda: layers.Dense(2, kernel_initializer="ones", activity_regularizer="l2"), 0.18),
    "add_loss": (Adding, 2.0),
    "nested": (
        lambda: keras.Sequential([keras.Input((3,)), layers.ActivityRegularization(l2=1.0)]),
        3.0,
    ),
}


@pytest.mark.parametrize("name", list(DEAD_BRANCHES))
@pytest.mark.parametrize("behind_an_op", [False, True])
def test_losses_of_branches_that_lead_nowhere_count(name: str, behind_an_op: bool) -> None:
    make, wanted = DEAD_BRANCHES[name]

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.penalty, self.head = make(), layers.Dense(1, kernel_initializer="zeros")

        def call(self, inputs: Any) -> Any:
            self.penalty(ops.abs(inputs) if behind_an_op else inputs)
            return self.head(inputs)

    ones = np.ones((2, 3), "float32")
    model = Own()
    model.compile("sgd", "mse")
    np.testing.assert_allclose(model.evaluate(ones, ones[:, :1] * 0, verbose=0), wanted, rtol=1e-6)
    model(ones)
    np.testing.assert_allclose(float(model.losses[0]), wanted, rtol=1e-6)
    history = model.fit(ones, ones[:, :1] * 0, epochs=2, verbose=0).history["loss"]
    np.testing.assert_allclose(history[0], wanted, rtol=1e-6)
    assert (history[1] < history[0]) is (name == "dense")  # its weights learn


@pytest.mark.parametrize("make", [Measuring, Noisy, Counting, lambda: layers.Dropout(0.5, seed=1)])
def test_state_and_metrics_of_branches_that_lead_nowhere_move(make: Any) -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.aside, self.head = make(), layers.Dense(1)

        def call(self, inputs: Any, training: Any = None) -> Any:
            self.aside(inputs, training=training)
            return self.head(inputs)

    ones = np.ones((4, 3), "float32")
    model = Own()
    model.compile("sgd", "mse")
    history = model.fit(ones, ones[:, :1], batch_size=2, verbose=0).history
    if make is Measuring:
        assert history["seen"] == [1.0]
        assert model.evaluate(ones, ones[:, :1], verbose=0, return_dict=True)["seen"] == 1.0
        return
    before = state(model)
    assert any(np.any(v) for v in before)
    model.fit(ones, ones[:, :1], batch_size=2, verbose=0)
    assert any(not np.array_equal(a, b) for a, b in zip(before, state(model), strict=True))
