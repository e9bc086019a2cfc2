"""Formulas of weights alone: the native ones give the values and gradients of the definitions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import ops
from densekit.engines import NativeEngine, lower_graph
from densekit.layers import Layer
from densekit.ops._gradient import value_and_vjp

Formula = Callable[[Any, Any, Any], Any]
BIG = np.random.default_rng(1).normal(size=(300, 300)).astype("float32")
# Of variables w (4, 3), v (4, 3) and s (3,): something that broadcasts to the shape (4, 3).
FORMULAS: dict[str, Formula] = {
    "operators": lambda w, v, s: (w - 2 * v) * s / (1.0 + w**2) + abs(v) - (-w),
    "numbers": lambda w, v, s: (
        w * np.arange(3.0, dtype="float32") + np.full((4, 1), 0.5, "float32")
    ),
    "moves": lambda w, v, s: ops.roll(ops.flip(ops.transpose(ops.transpose(w)), 0), 1, 1)[::-1],
    "halves": lambda w, v, s: ops.concatenate([w[:, :1], ops.split(v, [1], axis=1)[1]], axis=-1),
    "stack": lambda w, v, s: ops.sum(ops.stack([w, v, w * v], axis=1), axis=1) + ops.stack([s] * 4),
    "reshape": lambda w, v, s: ops.reshape(ops.pad(ops.ravel(w)[2:], [[1, 1]]), (4, 3)),
    "triangle": lambda w, v, s: ops.tril(w) + ops.triu(v, 1) + ops.expand_dims(s, 0),
    "sums": lambda w, v, s: (
        w - ops.mean(v, axis=0) + ops.sum(w, axis=1, keepdims=True) - ops.max(s)
    ),
    "spread": lambda w, v, s: ops.std(w, axis=0) * ops.var(v) + ops.logsumexp(w, axis=-1)[:, None],
    "norms": lambda w, v, s: w / ops.norm(w) + v / ops.norm(v, axis=1, keepdims=True) * ops.norm(s),
    "unit": lambda w, v, s: ops.normalize(w, axis=0) + ops.softmax(v) * ops.log_softmax(s),
    "products": lambda w, v, s: ops.matmul(w, ops.matmul(ops.transpose(v), w)),
    "vectors": lambda w, v, s: (
        ops.dot(w, s)[:, None] + ops.matmul(s, ops.transpose(w))[:, None] + v
    ),
    "letters": lambda w, v, s: ops.einsum("ij,kj->ik", w, v) @ w + ops.tensordot(w, v, 2) * s,
    "truths": lambda w, v, s: ops.where(ops.abs(w) > ops.mean(ops.abs(v)), ops.sign(w), 0.1 * v),
    "casts": lambda w, v, s: ops.cast(w > 0, "float32") * w + ops.cast(ops.any(v > 9), "float32"),
    "composed": lambda w, v, s: ops.hypot(w, v) + ops.nan_to_num(v) + ops.ptp(w, axis=0),
    "normalized": lambda w, v, s: ops.layer_normalization(w, s, s) + ops.rms_normalization(v),
    "order": lambda w, v, s: ops.sort(w, axis=0) + ops.cumsum(v, axis=1) + ops.median(v, axis=0),
    "layer": lambda w, v, s: keras.layers.ReLU()(w) + keras.activations.selu(v),
    "gate": lambda w, v, s: ops.gelu(w) * ops.stop_gradient(v) + ops.clip(v, -0.3, 0.4),
    "likes": lambda w, v, s: ops.ones_like(w) * s + ops.zeros_like(v) + ops.full_like(w, 2.0) * w,
    "one number": lambda w, v, s: ops.exp(-ops.square(s[1])) * ops.prod(s) + 0.0 * w,
    "large array": lambda w, v, s: w + ops.matmul(ops.tile(s, 100), BIG)[:3],
}


class Own(Layer):
    def __init__(self, formula: Formula, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.formula = formula

    def build(self, shape: Any) -> None:
        self.w = self.add_weight(shape=(4, 3))
        self.v = self.add_weight(shape=(4, 3))
        self.s = self.add_weight(shape=(3,), initializer="random_normal")

    def call(self, x: Any) -> Any:
        made = self.formula(self.w, self.v, self.s)
        return ops.matmul(x, made) + ops.sum(x, axis=-1, keepdims=True) * made[1]


def model_of(formula: Formula) -> Any:
    keras.utils.set_random_seed(2)
    model = keras.Sequential([keras.Input((4,)), Own(formula, name="own"), keras.layers.Dense(2)])
    for variable in model.trainable_variables:
        draw = np.random.default_rng(variable.size)
        variable.assign(variable + 0.1 * draw.normal(size=variable.shape))
    return model


DRAW = np.random.default_rng(0)
X, Y = DRAW.normal(size=(9, 4)).astype("float32"), DRAW.normal(size=(9, 2)).astype("float32")


def wanted_gradients(model: Any) -> list[Any]:
    def loss(*trainable: Any) -> Any:
        return ops.mean(ops.square(model.stateless_call(list(trainable), [], X)[0] - Y))

    _, vjp = value_and_vjp(loss, [v.numpy() for v in model.trainable_variables])
    return vjp(np.ones((), "float32"))


def assert_near(found: Any, expected: Any) -> None:
    size = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(found, expected, rtol=0, atol=200 * np.finfo("float32").eps * size)


@pytest.mark.parametrize("name", FORMULAS)
def test_values_and_gradients_are_those_of_the_definition(name: str) -> None:
    model = model_of(FORMULAS[name])
    plan = lower_graph(model._dk_graph(), "float32", True)
    assert plan.host_reasons == []
    assert_near(NativeEngine(plan).predict([X], 9)[0], Layer.__call__(model, X))
    model.compile(keras.optimizers.SGD(1.0), "mse")
    before = [v.numpy() for v in model.trainable_variables]
    wanted = wanted_gradients(model)
    with keras.GradientTape() as tape:
        loss = ops.mean(ops.square(model(X, training=True) - Y))
    taped = tape.gradient(loss, model.trainable_variables)
    model.train_on_batch(X, Y)
    pairs = zip(before, model.trainable_variables, wanted, taped, strict=True)
    for old, variable, gradient, of_tape in pairs:
        assert_near(old - variable.numpy(), gradient)
        assert_near(np.zeros_like(old) if of_tape is None else of_tape, gradient)


def test_a_tape_keeps_the_formulas_of_its_moment() -> None:
    model = model_of(FORMULAS["norms"])
    wanted = wanted_gradients(model)
    with keras.GradientTape(persistent=True) as tape:
        loss = ops.mean(ops.square(model(X, training=True) - Y))
    for variable in model.trainable_variables:
        variable.assign(variable * 3.0 - 1.0)
    model(X)
    for _ in range(2):
        found = tape.gradient(loss, model.trainable_variables)
        for one, other in zip(found, wanted, strict=True):
            assert_near(one, other)


def test_predictions_follow_the_weights_on_any_thread() -> None:
    model = model_of(FORMULAS["norms"])
    first = np.asarray(model.predict(X, verbose=0))
    assert np.array_equal(model(X), first)
    own = model.get_layer("own")
    start = own.w.numpy()
    own.w.assign(start * 2 + 1)
    other = np.asarray(model(X))
    assert_near(other, Layer.__call__(model, X))
    assert not np.array_equal(other, first)
    own.w.assign(start)
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.extend(np.asarray(model(X)) for _ in range(50)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 200
    assert all(np.array_equal(y, first) for y in found)


def test_frozen_weights_get_no_gradient_and_keep_their_values() -> None:
    model = model_of(FORMULAS["operators"])
    own = model.get_layer("own")
    own.v.trainable = False
    model.compile(keras.optimizers.Adam(0.1), "mse")
    frozen, moved = own.v.numpy(), own.w.numpy()
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    assert np.array_equal(own.v, frozen)
    assert not np.array_equal(own.w, moved)


@pytest.mark.parametrize(
    ("formula", "reason"),
    [
        (lambda w, v, s: ops.svd(w)[0][:, :3] + w, "`ops.svd` has no native form"),
        (lambda w, v, s: w * float(np.asarray(s)[0]), "does not run on symbolic tensors"),
    ],
)
def test_what_is_not_native_says_why_and_is_right(formula: Formula, reason: str) -> None:
    model = model_of(formula)
    reasons = lower_graph(model._dk_graph(), "float32", True).host_reasons
    assert [name for name, _ in reasons] == ["own"]
    assert reason in reasons[0][1]
    assert_near(model.predict(X, verbose=0), Layer.__call__(model, X))


def test_a_penalty_of_weights_is_part_of_the_loss() -> None:
    class Penalised(Own):
        def call(self, x: Any) -> Any:
            self.add_loss(0.5 * ops.sum(ops.square(self.w)))
            return super().call(x)

    model = keras.Sequential([keras.Input((4,)), Penalised(FORMULAS["operators"])])
    plan = lower_graph(model._dk_graph(), "float32", True)
    assert plan.host_reasons == []
    model.compile(keras.optimizers.SGD(0.0), "mse")
    y = np.asarray(model(X))
    size = 0.5 * float(np.sum(np.square(model.layers[0].w)))
    assert model.evaluate(X, y, verbose=0) == pytest.approx(size, rel=1e-6)
    assert model.train_on_batch(X, y) == pytest.approx(size, rel=1e-6)


def test_draws_without_a_seed_are_those_of_python() -> None:
    class Noisy(Layer):
        def call(self, x: Any) -> Any:
            y = x + keras.random.normal(ops.shape(x))
            return y * keras.random.uniform(ops.shape(x)) + keras.random.dropout(x, 0.5)

    def trained(engine: str) -> list[Any]:
        keras.utils.set_random_seed(5)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), Noisy()])
        model.compile(keras.optimizers.SGD(0.1), "mse", engine=engine)
        x, y = X, np.ones((9, 3), "float32")
        model.train_on_batch(x, y)  # an engine that is made may draw
        model.layers[0].set_weights([np.ones((4, 3)), np.zeros(3)])
        keras.utils.set_random_seed(7)
        losses = model.fit(x, y, batch_size=2, shuffle=False, verbose=0).history["loss"]
        if engine == "native":
            assert "0 of" in model.explain_plan()
        return [losses, model.predict(x, batch_size=4, verbose=0)]

    native = trained("native")
    assert not np.array_equal(native[1][0], native[1][4])
    again, python = trained("native"), trained("reference")
    assert np.array_equal(native[1], again[1])
    assert native[0] == again[0]
    np.testing.assert_allclose(native[0], python[0], rtol=1e-5)


class Counting(Layer):
    def __init__(self, part: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.part = part

    def build(self, shape: Any) -> None:
        if self.part is None:
            self.mean = self.add_weight(shape=(4,), trainable=False, initializer="zeros")
        else:
            self.part.build(shape)
            self.mean = self.part.moving_mean

    def call(self, x: Any, training: bool = False) -> Any:
        if training:
            rest = ops.mean(x, axis=0) if self.part is None else 1.0
            self.mean.assign(0.5 * self.mean + rest)
        return (x - self.mean) * 2.0 if self.part is None else self.part(x, training=training)


def called_twice() -> Any:
    layer, x = Counting(), keras.Input((4,))
    return keras.Model(x, keras.layers.Dense(2)(layer(ops.tanh(layer(x)))))


def before_a_layer_that_writes() -> Any:
    own = Counting(keras.layers.BatchNormalization(momentum=0.9))
    return keras.Sequential([keras.Input((4,)), own, keras.layers.Dense(2)])


@pytest.mark.parametrize("make", [called_twice, before_a_layer_that_writes])
def test_state_that_is_read_after_it_was_assigned_is_the_new_one(make: Any) -> None:
    def trained(engine: str) -> list[Any]:
        keras.utils.set_random_seed(1)
        model = make()
        model.compile(keras.optimizers.SGD(0.05), "mse", engine=engine)
        history = model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0).history
        return [history["loss"], *map(np.asarray, model.weights), model.predict(X, verbose=0)]

    for found, expected in zip(trained("native"), trained("reference"), strict=True):
        assert_near(found, expected)
