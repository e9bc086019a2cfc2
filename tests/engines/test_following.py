"""Layers that users write enter the plan op by op; what cannot says why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import ops
from densekit.engines import lower_graph
from densekit.layers import Layer
from densekit.ops._gradient import value_and_vjp

L = keras.layers


class OwnDense(Layer):
    def __init__(self, units: int, activation: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.activation = units, keras.activations.get(activation)

    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight(shape=(input_shape[-1], self.units))
        self.b = self.add_weight(shape=(self.units,), initializer="random_normal")

    def call(self, inputs: Any) -> Any:
        return self.activation(ops.matmul(inputs, self.w) + self.b)


class Residual(Layer):
    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner = L.Dense(units, "relu")
        self.back = L.Dense(units)
        self.norm = L.LayerNormalization()

    def call(self, inputs: Any, training: Any = None) -> Any:
        return self.norm(inputs + self.back(self.inner(inputs)))


class Gate(Layer):
    def build(self, input_shape: Any) -> None:
        self.s = self.add_weight(shape=(input_shape[-1],), initializer="random_normal")

    def call(self, inputs: Any) -> Any:
        return self.s * inputs * ops.sigmoid(ops.sum(inputs * self.s, axis=-1, keepdims=True))


class Nested(Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parts = [OwnDense(4, "tanh"), Residual(4)]

    def call(self, inputs: Any) -> Any:
        for part in self.parts:
            inputs = part(inputs)
        return inputs


class TwoHeads(Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.a, self.b = L.Dense(3), OwnDense(3)

    def call(self, inputs: Any) -> Any:
        return self.a(inputs), ops.exp(self.b(inputs))


def model_of(layer: Any) -> Any:
    inputs = keras.Input((4,))
    outputs = layer(L.Dense(4, "tanh")(inputs))
    if isinstance(outputs, tuple | list):
        outputs = L.Concatenate()(list(outputs))
    return keras.Model(inputs, L.Dense(2)(outputs))


def plan_of(model: Any, training: bool) -> Any:
    return lower_graph(model._dk_graph(), "float32", training)


@pytest.mark.parametrize(
    "make", [lambda: OwnDense(3, "relu"), lambda: Residual(4), Gate, Nested, TwoHeads]
)
def test_own_layers_run_natively(make: Any) -> None:
    keras.utils.set_random_seed(1)
    model = model_of(make())
    for training in (False, True):
        assert plan_of(model, training).host_reasons == []
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((9, 4), "float32"), rng.standard_normal((9, 2), "float32")
    np.testing.assert_allclose(model.predict(x, verbose=0), Layer.__call__(model, x), atol=1e-5)
    model.compile(keras.optimizers.SGD(1.0), "mse")
    before = [v.numpy() for v in model.trainable_variables]

    def loss(*values: Any) -> Any:
        return ops.mean(ops.square(model.stateless_call(list(values), [], x)[0] - y))

    _, vjp = value_and_vjp(loss, before)
    gradients = vjp(np.ones((), "float32"))
    model.train_on_batch(x, y)
    for old, variable, gradient in zip(before, model.trainable_variables, gradients, strict=True):
        np.testing.assert_allclose(old - variable.numpy(), gradient, atol=2e-5)


def test_own_dense_layers_are_one_step_each() -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, OwnDense(2)(OwnDense(3, "relu")(inputs)))
    assert [op.kind for op in plan_of(model, True).ops] == ["dense", "dense"]


class LooksAtWeights(Layer):
    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight(shape=(1,))

    def call(self, inputs: Any) -> Any:
        return inputs * float(np.asarray(self.w)[0])


class Counts(Layer):
    def build(self, input_shape: Any) -> None:
        self.n = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, inputs: Any) -> Any:
        self.n.assign_add(1.0)
        return inputs


class UsesNumPy(Layer):
    def call(self, inputs: Any) -> Any:
        return np.tanh(inputs) if isinstance(inputs, np.ndarray) else inputs.missing


class Sinc(Layer):
    def call(self, inputs: Any) -> Any:
        return ops.sinc(inputs)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (LooksAtWeights, "does not run on symbolic tensors (ValueError"),
        (Counts, "assigns to 'it/variable' where nothing is trained"),
        (Sinc, "`ops.sinc` has no native form"),
    ],
)
def test_what_cannot_be_followed_says_why(make: Any, reason: str) -> None:
    model = model_of(make(name="it"))
    reasons = dict(plan_of(model, False).host_reasons)
    assert reason in reasons["it"]
    assert len(reasons) == 1


def test_state_that_follows_from_weights_is_written_by_the_step() -> None:
    model = model_of(Counts(name="it"))
    assert plan_of(model, True).host_reasons == []
    model.compile("sgd", "mse")
    model.fit(np.zeros((10, 4)), np.zeros((10, *model.output_shape[1:])), 4, 2, verbose=0)
    assert float(model.get_layer("it").n) == 6
    assert float(model.get_layer("it")(np.zeros((1, 4))).sum()) == 0
    assert float(model.get_layer("it").n) == 7


class Compares(Layer):
    def call(self, inputs: Any) -> Any:
        return ops.cast(inputs == 0, "float32") - ops.cast(inputs != 0, "float32") * (inputs == 1)


def test_equality_is_that_of_the_elements() -> None:
    x = np.array([[0.0, 1.0, 2.0, 0.0]], "float32")
    layer = Compares()
    model = keras.Sequential([keras.Input((4,)), layer])
    assert plan_of(model, False).host_reasons == []
    assert model.predict(x, verbose=0).tolist() == layer(x).tolist() == [[1.0, -1.0, 0.0, 1.0]]
    a, b = keras.Input((4,)), keras.Input((4,))
    assert a == a and [a, b].index(b) == 1  # outside of calls: whether it is the same
    x = np.random.default_rng(0).standard_normal((5, 4), "float32")
    np.testing.assert_allclose(model.predict(x, verbose=0), Layer.__call__(model, x), atol=1e-5)


class ComparesToNone(Layer):
    def call(self, inputs: Any) -> Any:
        if inputs == None or inputs in (None,):  # noqa: E711
            return inputs
        return inputs * (2.0 if inputs != None else 3.0)  # noqa: E711


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_tensor_is_not_none(engine: str) -> None:
    x = np.ones((3, 4), "float32")
    model = keras.Sequential([keras.Input((4,)), L.Dense(4), ComparesToNone()])
    model.layers[0].set_weights([np.eye(4), np.zeros(4)])
    model.compile(keras.optimizers.SGD(0.0), "mse", engine=engine)
    assert plan_of(model, True).host_reasons == []
    assert model.train_on_batch(x, x) == 1.0
    assert model.predict(x, verbose=0).tolist() == (2 * x).tolist()
    layer = ComparesToNone()
    assert layer(x).tolist() == (2 * x).tolist()
    with keras.GradientTape() as tape:
        loss = ops.sum(layer(model(ops.convert_to_tensor(x))))
    assert tape.gradient(loss, model.trainable_variables)[1].tolist() == [12.0] * 4


def test_own_activations_run_natively() -> None:
    inputs = keras.Input((4,))
    y = L.Dense(3, lambda x: ops.tanh(x) * ops.sigmoid(x))(inputs)
    model = keras.Model(inputs, L.Activation(lambda x: x**2 + 1)(y))
    assert plan_of(model, True).host_reasons == []
    x = np.random.default_rng(0).standard_normal((5, 4), "float32")
    np.testing.assert_allclose(model.predict(x, verbose=0), Layer.__call__(model, x), atol=1e-5)


def test_the_plan_is_explained() -> None:
    model = keras.Sequential([keras.Input((4,)), OwnDense(3, name="a"), Sinc(name="b")], name="it")
    assert model.explain_plan().splitlines() == [
        "Sequential 'it', training: 1 of 2 parts in Python",
        "  a  native",
        "  b  Python: `ops.sinc` has no native form",
    ]
    assert "no plan before" in keras.Sequential([L.Dense(1)]).explain_plan()


@pytest.mark.parametrize(
    "formula",
    [
        lambda x: x * x,
        lambda x: ops.add(x, x),
        lambda x: x - x * 2,
        lambda x: ops.where(x > 0, x, x),
        lambda x: x * x[:, :1] * x,
    ],
    ids=["square", "double", "minus", "choice", "three times"],
)
def test_a_value_that_is_several_operands_gets_all_their_gradients(formula: Any) -> None:
    class Own(Layer):
        def call(self, inputs: Any) -> Any:
            return formula(inputs)

    inputs = keras.Input((3,))
    model = keras.Model(inputs, Own()(inputs))
    assert not model.explain_plan().startswith("Python")
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    with keras.GradientTape() as tape:
        tape.watch(x)
        loss = ops.sum(model(x, training=True))
    found = tape.gradient(loss, x)
    _, vjp = value_and_vjp(lambda a: ops.sum(formula(a)), [x])
    np.testing.assert_allclose(found, vjp(np.float32(1))[0], rtol=1e-5)


class NormedBlock(Layer):
    """A residual block as guides write it, with layers inside that keep state."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense, self.norm = L.Dense(4), L.BatchNormalization(momentum=0.5)
        self.drop = L.Dropout(0.25, seed=3)

    def call(self, inputs: Any, training: Any = None) -> Any:
        normed = self.norm(self.dense(inputs), training=training)
        return inputs + self.drop(ops.relu(normed), training=training)


class RandomFeatures(Layer):
    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight(shape=(input_shape[-1], 4), trainable=False)

    def call(self, inputs: Any) -> Any:
        return ops.sin(ops.matmul(inputs, self.w))


@pytest.mark.parametrize("make", [NormedBlock, RandomFeatures])
def test_own_layers_with_state_run_natively(make: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((9, 4), "float32"), rng.standard_normal((9, 2), "float32")
    found = []
    for engine in ("native", "reference"):
        keras.utils.set_random_seed(1)
        model = model_of(make())
        for training in (False, True):
            assert plan_of(model, training).host_reasons == []
        model.compile(keras.optimizers.SGD(0.1), "mse", engine=engine)
        model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        found.append([*model.get_weights(), model.predict(x, verbose=0)])
    for natively, by_definition in zip(*found, strict=True):
        np.testing.assert_allclose(natively, by_definition, rtol=1e-4, atol=1e-5)


def test_what_a_layer_has_written_is_not_read_in_the_same_step() -> None:
    class ReadsBack(NormedBlock):
        def call(self, inputs: Any, training: Any = None) -> Any:
            return self.norm(inputs, training=training) + self.norm.moving_mean

    model = model_of(ReadsBack(name="it"))
    assert plan_of(model, False).host_reasons == []
    assert dict(plan_of(model, True).host_reasons).keys() == {"it"}


def test_columns_of_whole_numbers_are_taken_apart_natively() -> None:
    x = keras.Input((3,), dtype="int32")
    tables = [L.Embedding(50, 2)(x[:, i]) for i in range(3)]
    model = keras.Model(x, L.Dense(1)(L.Concatenate()(tables)))
    assert plan_of(model, True).host_reasons == []
    rows = np.random.default_rng(0).integers(0, 50, (6, 3)).astype("int32")
    np.testing.assert_allclose(
        model.predict(rows, verbose=0), Layer.__call__(model, rows), atol=1e-6
    )
    large = np.array([[2**24 + 1, 2**30 + 3, -(2**24) - 5]], "int32")  # which floats cannot hold
    backwards = keras.Model(x, x[:, ::-1])
    np.testing.assert_array_equal(backwards.predict(large, verbose=0), large[:, ::-1])


@pytest.mark.parametrize(
    "make",
    [
        lambda: L.BatchNormalization(momentum=0.5),
        lambda: L.Dense(3, "relu"),
        lambda: L.EinsumDense("ab,bc->ac", 3, bias_axes="c"),
        lambda: L.Reshape((2, 2)),
        lambda: L.GaussianNoise(0.2, seed=1),
        lambda: keras.Sequential([L.Dense(3), L.BatchNormalization(momentum=0.5)]),
    ],
    ids=["normed", "dense", "einsum", "reshaped", "noisy", "several"],
)
@pytest.mark.parametrize("masked", [False, True])
def test_any_native_layer_runs_natively_at_each_step(make: Any, masked: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((7, 3, 4), "float32")
    x[1, 1:] = x[5, 2:] = 0
    found = []
    for engine in ("native", "reference"):
        keras.utils.set_random_seed(1)
        inputs = keras.Input((3, 4))
        steps = L.Masking()(inputs) if masked else L.Dense(4)(inputs)
        outputs = L.Dense(2)(L.TimeDistributed(make())(steps))
        model = keras.Model(inputs, outputs)
        y = np.ones((7, *outputs.shape[1:]), "float32")
        for training in (False, True):
            assert plan_of(model, training).host_reasons == []
        model.compile(keras.optimizers.SGD(0.1), "mse", engine=engine)
        model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        found.append([*model.get_weights(), model.predict(x, verbose=0)])
    for natively, by_definition in zip(*found, strict=True):
        np.testing.assert_allclose(natively, by_definition, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "formula",
    [
        lambda x: ops.reshape(x, (ops.shape(x)[0], -1)),
        lambda x: ops.concatenate([x, ops.zeros((ops.shape(x)[0], 1))], axis=-1),
        lambda x: x * ops.ones(ops.shape(x)) + 0 * ops.zeros((ops.shape(x)[0], 4)),
    ],
    ids=["reshaped", "zeros", "ones"],
)
def test_shapes_with_the_size_of_the_batch_are_followed(formula: Any) -> None:
    class Own(Layer):
        def call(self, inputs: Any) -> Any:
            return formula(inputs)

    model = model_of(Own())
    for training in (False, True):
        assert plan_of(model, training).host_reasons == []
    x = np.random.default_rng(0).standard_normal((5, 4), "float32")
    np.testing.assert_allclose(model.predict(x, verbose=0), Layer.__call__(model, x), atol=1e-6)
