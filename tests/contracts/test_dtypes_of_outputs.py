"""Values of every dtype come out of models as the definition makes them, integers to the last bit.

Integers above 2**24 are no floats of a plan in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.contracts.test_layers_contract import SAMPLES, create

import densekit as keras
from densekit import layers, ops
from densekit.layers import Layer

BIG = 16777217  # 2**24 + 1


class Classes(layers.Layer):
    """Large numbers of classes."""

    def call(self, inputs: Any) -> Any:
        """The number of the largest entry, counted from `BIG`."""
        return ops.cast(ops.argmax(inputs, axis=-1), "int32") + BIG


class SaysFloat(Classes):
    """Says nothing of its dtype but a shape."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Without the last axis."""
        return input_shape[:-1]


class Casts(layers.Layer):
    """To a dtype."""

    def __init__(self, to: str) -> None:
        super().__init__()
        self.to = to

    def call(self, inputs: Any) -> Any:
        """The inputs, a little more than their floats."""
        return ops.cast(inputs, self.to) * np.asarray(1.1 if "float" in self.to else 1, self.to)


class Above(layers.Layer):
    """A truth value."""

    def call(self, inputs: Any) -> Any:
        """Whether the inputs are above 0."""
        return inputs > 0

    def compute_output_shape(self, input_shape: Any) -> Any:
        """That of the inputs."""
        return input_shape


HEADS: dict[str, Any] = {
    "classes": (Classes, "int32"),
    "says_float": (SaysFloat, "int32"),
    "above": (Above, "bool"),
    "lambda": (lambda: layers.Lambda(lambda x: ops.cast(x, "int64") + 2**40), "int64"),
    "minus": (lambda: keras.Sequential([Classes(), layers.Lambda(lambda x: x - BIG)]), "int32"),
    **{
        to: (lambda to=to: Casts(to), to)
        for to in ("uint8", "int32", "int64", "float16", "float64")
    },
}


@pytest.mark.parametrize("name", list(HEADS))
@pytest.mark.parametrize("several", [False, True])
def test_outputs_keep_dtype_and_values(name: str, several: bool, rng: Any) -> None:
    make, dtype = HEADS[name]
    x = keras.Input((3,))
    hidden = layers.Dense(3, name="hidden")(x)
    head = make()(hidden)
    model = keras.Model(x, [hidden, head] if several else head)
    rows = rng.standard_normal((70, 3)).astype("float32") * 100
    made = model.predict(rows, verbose=0)
    hidden_rows, y = made if several else (keras.Model(x, hidden).predict(rows, verbose=0), made)
    assert y.dtype == dtype
    inner = keras.Input((3,))
    by_definition = Layer.__call__(keras.Model(inner, make()(inner)), hidden_rows)
    np.testing.assert_array_equal(y, by_definition)
    for other in (
        model(rows),
        model.predict_on_batch(rows),
        model.predict(iter([rows[:32], rows[32:]]), steps=2, verbose=0),
        model.predict(rows, batch_size=8, callbacks=[keras.callbacks.Callback()], verbose=0),
    ):
        again = other[1] if several else other
        assert again.dtype == dtype
        np.testing.assert_array_equal(again, y)


@pytest.mark.parametrize(
    ("name", "arguments", "shape"),
    [(n, a, s) for n, entries in SAMPLES.items() for a, s in entries],
)
def test_every_layer_gives_integers_as_its_definition_does(
    name: str, arguments: Any, shape: Any, rng: Any
) -> None:
    shapes = shape if isinstance(shape, list) else [shape]
    xs = [keras.Input(one, dtype="int32") for one in shapes]
    rows = [rng.integers(BIG, BIG + 9, (5, *one)).astype("int32") for one in shapes]
    layer = create(name, arguments)
    model = keras.Model(xs, layer(xs if isinstance(shape, list) else xs[0]))
    wanted = Layer.__call__(model, rows, training=False)
    for y in (model.predict(rows, verbose=0), model(rows), model.predict_on_batch(rows)):
        assert (y.dtype.kind, y.dtype == "float64") == (wanted.dtype.kind, False)
        if wanted.dtype.kind == "i":
            np.testing.assert_array_equal(y, wanted)
        else:
            np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


def test_metrics_see_integers_and_losses_floats() -> None:
    seen: list[str] = []

    class Seeing(keras.metrics.Metric):
        def __init__(self) -> None:
            super().__init__(name="seeing")
            self.top = self.add_weight(shape=(), initializer="zeros")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            seen.append(str(y_pred.dtype))
            self.top.assign(float(np.max(y_pred) - BIG))

        def result(self) -> Any:
            return self.top.numpy()

    def own_loss(y_true: Any, y_pred: Any) -> Any:
        seen.append(str(y_pred.dtype))
        return ops.mean(y_true - y_pred, axis=-1)

    x = keras.Input((2,))
    hidden = layers.Dense(2, kernel_initializer="ones", name="a")(x)
    model = keras.Model(x, [hidden, Classes(name="b")(hidden), Casts("int32")(x)])
    model.compile("sgd", ["mse", None, own_loss], metrics=[[], [Seeing()], []])
    rows = np.array([[1.0, 2.0], [5.0, 3.0]] * 20, "float32")
    history = model.fit(rows, [rows, rows[:, 0], rows], batch_size=8, verbose=0).history
    assert history["b_seeing"] == [0.0]
    assert set(seen) == {"int32", "float32"}
    assert model.evaluate(rows, [rows, rows[:, 0], rows], verbose=0, return_dict=True)["loss"] > 0


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integer_inputs_reach_own_layers_whole(dtype: str) -> None:
    seen: list[Any] = []

    class Seeing(layers.Layer):
        def call(self, inputs: Any) -> Any:
            seen.append(inputs)
            return ops.cast(inputs - BIG, "float32")

    model = keras.Sequential([keras.Input((2,), dtype="int32"), Seeing(), layers.Dense(1)])
    model.compile("sgd", "mse")
    rows = np.arange(BIG, BIG + 20).reshape(10, 2).astype(dtype)
    y = np.zeros((10, 1), "float32")
    for run in (
        lambda: model.fit(rows, y, batch_size=4, shuffle=True, verbose=0),
        lambda: model.evaluate(rows, y, batch_size=4, verbose=0),
        lambda: model.predict(rows, verbose=0),
    ):
        model.predict(rows[:1], verbose=0)
        seen.clear()
        run()
        got = np.concatenate([x for x in seen if isinstance(x, np.ndarray) and x.max() >= BIG])
        np.testing.assert_array_equal(np.sort(got.ravel()), rows.ravel())
        assert got.dtype == np.int32


def trained(first: str, second: str, **compile_args: Any) -> Any:
    model = keras.Sequential(
        [keras.Input((2,))]
        + [layers.Dense(2, dtype=d, kernel_initializer="ones") for d in (first, second)]
    )
    model.compile("sgd", "mse", **compile_args)
    x = np.array([[1.0, 2.0], [5.0, 3.0]], "float32")
    return model, model.fit(x, x, epochs=2, verbose=0).history["loss"], model.predict(x, verbose=0)


@pytest.mark.parametrize(
    ("first", "second", "loss", "dtype"),
    [
        ("float32", "float64", 1.20755816, "float64"),
        ("float64", "float32", 1.20755816, "float32"),
        ("float16", "float32", 1.20990014, "float32"),
        ("mixed_bfloat16", "float64", 1.20, "float64"),
    ],
)
def test_layers_of_several_floats_train_in_one_model(
    first: str, second: str, loss: float, dtype: str
) -> None:
    model, losses, y = trained(first, second)
    np.testing.assert_allclose(losses, [82.75, loss], rtol=5e-3 if "16" in first else 1e-6)
    assert [v.dtype for v in model.weights[::2]] == [first.replace("mixed_b", "")[:7], second] or (
        first == "mixed_bfloat16" and model.weights[0].dtype == "float32"
    )
    assert y.dtype == dtype
    np.testing.assert_allclose(y[0], [1.33476, 1.10111], rtol=2e-3)


def test_weights_of_several_floats_obey_penalties_and_constraints() -> None:
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(
                2, dtype="float32", kernel_regularizer="l2", kernel_constraint="unit_norm"
            ),
            layers.Dense(2, dtype="float64", kernel_regularizer="l2"),
        ]
    )
    model.compile("adam", "mse")
    x = np.ones((8, 2), "float32")
    penalty = sum(0.01 * float(np.sum(np.square(v.numpy()))) for v in model.weights[::2])
    error = float(np.mean((model.predict(x, verbose=0) - x) ** 2))
    history = model.fit(x, x, batch_size=8, verbose=0).history
    np.testing.assert_allclose(history["loss"], [penalty + error], rtol=1e-5)
    norms = np.linalg.norm(model.weights[0].numpy(), axis=0)
    np.testing.assert_allclose(norms, 1.0, rtol=1e-6)
    assert int(model.optimizer.iterations) == 1


def test_weights_in_bfloat16_train() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "tanh", dtype="bfloat16")])
    model.add(keras.layers.Dense(1, dtype="bfloat16", kernel_regularizer=lambda w: 0.1 * (w * w)))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    before = [np.asarray(w.numpy(), "float32") for w in model.weights]
    x = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
    history = model.fit(x, x[:, :1], epochs=5, verbose=0).history["loss"]
    assert history[-1] < 0.8 * history[0]
    for weight, old in zip(model.weights, before, strict=True):
        assert weight.dtype == "bfloat16"
        assert (np.asarray(weight.numpy(), "float32") != old).any()
