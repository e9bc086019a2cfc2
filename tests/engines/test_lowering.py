"""From graphs to plans: what runs natively, what on the host, and that both say the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import _native
from densekit.engines import NativeEngine, NotLowerable, lower_graph
from densekit.layers import Layer

X = np.linspace(-1, 1, 24).reshape(6, 4).astype("float32")


def kinds(model: Any, training: bool = False) -> list[str]:
    return [op.kind for op in lower_graph(model._dk_graph(), "float32", training).ops]


def assert_says_what_the_definition_says(model: Any, x: Any = X) -> None:
    eps = float(np.finfo(np.float32).eps)
    natively = model.predict(x, verbose=0)
    by_definition = np.asarray(Layer.__call__(model, x, training=False))
    np.testing.assert_allclose(natively, by_definition, rtol=64 * eps, atol=64 * eps)


def functional(build: Any) -> Any:
    x = keras.Input((4,))
    return keras.Model(x, build(x))


def test_a_plain_net_is_native() -> None:
    model = functional(
        lambda x: keras.layers.Dense(2)(
            keras.layers.Dropout(0.5)(keras.layers.Dense(3, activation="relu")(x))
        )
    )
    assert kinds(model) == ["dense", "dense"]
    assert kinds(model, training=True) == ["dense", "dropout", "dense"]
    assert_says_what_the_definition_says(model)


def test_shared_layers_share_parameters() -> None:
    dense = keras.layers.Dense(4)
    model = functional(lambda x: keras.layers.Add()([dense(x), dense(dense(x))]))
    assert kinds(model).count("dense") == 3
    assert_says_what_the_definition_says(model)
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(X, X, verbose=0)
    assert len(model.get_weights()) == 2
    assert (before[0] != model.get_weights()[0]).any()


def test_models_inside_models_are_lowered_through() -> None:
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)])
    model = functional(lambda x: keras.layers.Dense(1)(inner(x)))
    assert kinds(model) == ["dense", "dense"]
    assert kinds(model, training=True) == ["dense", "dropout", "dense"]
    assert_says_what_the_definition_says(model)


@pytest.mark.parametrize("flag", [True, False])
def test_a_flag_in_a_functional_graph_holds_while_the_model_is_told_nothing(flag: bool) -> None:
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5)])
    model = functional(lambda x: keras.layers.Dense(1)(inner(x, training=flag)))
    assert kinds(model, training=True) == ["dropout", "dense"]
    assert kinds(model, training=False) == ["dense"]
    plan = lower_graph(model._dk_graph(), "float32", None)
    assert [op.kind for op in plan.ops] == (["dropout", "dense"] if flag else ["dense"])


def test_ops_run_natively_and_on_the_host_where_they_have_no_native_form() -> None:
    model = functional(lambda x: keras.ops.sin(keras.layers.Dense(3)(x)) * 2.0 + 1.0)
    assert "host" not in kinds(model)
    assert_says_what_the_definition_says(model)
    model = functional(lambda x: keras.ops.sinc(keras.layers.Dense(3)(x)) + 1.0)
    assert kinds(model) == ["dense", "host", "elementwise"]
    assert_says_what_the_definition_says(model)


def test_a_layer_with_its_own_call_is_followed_or_runs_on_the_host() -> None:
    class Doubled(keras.layers.Dense):
        def call(self, inputs: Any, training: Any = None) -> Any:
            return 2 * super().call(inputs)

    class Sinc(keras.layers.Dense):
        def call(self, inputs: Any, training: Any = None) -> Any:
            return keras.ops.sinc(super().call(inputs))

    assert kinds(functional(lambda x: Doubled(3)(x))) == ["dense", "elementwise"]
    model = functional(lambda x: Sinc(3)(x))
    assert kinds(model) == ["host"]
    assert_says_what_the_definition_says(model)


def test_another_dtype_runs_on_the_host() -> None:
    model = functional(lambda x: keras.layers.Dense(2)(keras.layers.Dense(3, dtype="float64")(x)))
    assert kinds(model) == ["host", "dense"]


def test_activity_regularizers_are_part_of_the_plan() -> None:
    model = functional(lambda x: keras.layers.Dense(3, activity_regularizer="l2")(x))
    assert kinds(model) == ["dense", "activity"]


def test_open_sizes_are_those_of_the_data() -> None:
    x = keras.Input((None, 4))
    model = keras.Model(x, keras.layers.Dense(2)(x))
    with pytest.raises(NotLowerable):
        lower_graph(model._dk_graph(), "float32", False)
    for length in (1, 3):
        data = np.ones((2, length, 4), "float32")
        assert model.predict(data, verbose=0).shape == (2, length, 2)
        assert_says_what_the_definition_says(model, data)


def test_a_graph_that_mixes_samples_runs_as_a_whole() -> None:
    model = functional(lambda x: x - keras.ops.max(x, axis=0))
    with pytest.raises(NotLowerable):
        lower_graph(model._dk_graph(), "float32", False)
    np.testing.assert_allclose(model.predict(X, verbose=0), X - X.max(axis=0), atol=1e-6)


def test_descriptions_name_what_runs_on_the_host() -> None:
    model = functional(lambda x: keras.layers.Lambda(keras.ops.sinc, name="mine")(x))
    engine = NativeEngine(lower_graph(model._dk_graph(), "float32", False))
    assert any("host" in line for line in _native.testing.describe(engine.plan))


@pytest.mark.parametrize(
    "activation",
    [
        keras.layers.ReLU(max_value=1.5, negative_slope=0.1, threshold=0.2),
        keras.layers.LeakyReLU(0.2),
        keras.layers.ELU(0.7),
        keras.layers.Softmax(),
        keras.layers.Activation("tanh"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_as_activation_stays_native(activation: Layer) -> None:
    dense = keras.layers.Dense(5, activation=activation)
    model = keras.Sequential([keras.Input((4,)), dense])
    assert kinds(model, training=True) == ["dense"]
    assert_says_what_the_definition_says(model)


class Weighted(Layer):
    """A weight of a dtype of its own, used by `use`."""

    def __init__(self, own: str, use: Any) -> None:
        super().__init__()
        self.own, self.use = own, use

    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight(shape=(4, 4), dtype=self.own, initializer="ones", name="w")

    def call(self, inputs: Any) -> Any:
        return keras.ops.cast(self.use(inputs, self.w), self.compute_dtype)


@pytest.mark.parametrize("own", ["float16", "bfloat16", "float64", "int32"])
@pytest.mark.parametrize(
    "use",
    [
        lambda x, w: keras.ops.matmul(x, w),
        lambda x, w: keras.ops.multiply(x, w[0]),
        lambda x, w: keras.ops.take(w, keras.ops.cast(x > 0, "int32")[:, 0], axis=0),
    ],
    ids=["matmul", "multiply", "take"],
)
def test_weights_of_another_dtype_are_read_as_they_are(own: str, use: Any) -> None:
    def trained(engine: str) -> list[Any]:
        keras.utils.set_random_seed(1)
        layer = Weighted(own, use)
        model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(2)])
        model.compile(keras.optimizers.SGD(0.1), "mse", engine=engine)
        assert_says_what_the_definition_says(model)
        model.fit(X, X[:, :2], batch_size=3, epochs=2, shuffle=False, verbose=0)
        assert_says_what_the_definition_says(model)
        return [np.asarray(v.numpy(), np.float32) for v in model.variables]

    eps = 2**-8 if own == "bfloat16" else 2**-11 if own == "float16" else 2**-18
    for found, wanted in zip(trained("native"), trained("reference"), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=eps, atol=eps)


def test_low_rank_of_float32_beside_float64() -> None:
    layer = keras.layers.Dense(2, lora_rank=2, dtype="float64")
    model = keras.Sequential([keras.Input((4,), dtype="float64"), layer])
    layer.lora_kernel_b.assign(np.ones((2, 2)))
    np.testing.assert_allclose(model.predict(X, verbose=0), X @ layer.kernel + layer.bias)


def test_bfloat16_weights_train_where_the_output_has_no_rows() -> None:
    class Mean(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(2, dtype="bfloat16")

        def call(self, x: Any) -> Any:
            return keras.ops.mean(keras.ops.cast(self.dense(x), "float32"), axis=0, keepdims=True)

    model = Mean()
    model.build((None, 4))
    model.dense.kernel.assign(np.zeros((4, 2)))
    model.compile(keras.optimizers.SGD(0.5), "mse")
    x, y = np.ones((4, 4), "float32"), np.ones((4, 2), "float32")
    model.fit(x, y, verbose=0)
    # d mean((w x - 1)^2) = -2 / 2 for each unit, of which 0.5 is taken away.
    np.testing.assert_array_equal(np.asarray(model.dense.kernel, np.float32), np.full((4, 2), 0.5))
