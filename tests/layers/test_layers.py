"""Single layers: what parity and contracts do not show."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import layers


def test_dropout_keeps_the_mean_and_its_seed(rng: np.random.Generator) -> None:
    layer, x = layers.Dropout(0.25, seed=3), np.ones((200, 200), np.float32)
    first, second = layer(x, training=True), layer(x, training=True)
    n = x.size
    # standard error of the share of zeros: sqrt(p (1 - p) / n)
    assert abs((first == 0).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / n)
    assert np.unique(first).tolist() == pytest.approx([0.0, 1 / 0.75])
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(layers.Dropout(0.25, seed=3)(x, training=True), first)
    assert len(layer.variables) == 1
    assert layer.weights == []


def test_dropout_at_the_ends() -> None:
    x = np.ones((3, 4), np.float32)
    assert not layers.Dropout(1.0)(x, training=True).any()
    assert layers.Dropout(0.0)(x, training=True) is not None
    assert layers.Dropout(0.0).variables == []


def test_dropout_shares_its_mask_along_axes_of_one() -> None:
    y = layers.Dropout(0.5, noise_shape=(None, 1), seed=1)(np.ones((64, 8)), training=True)
    assert (y == y[:, :1]).all()
    assert 0 < (y[:, 0] == 0).sum() < 64


@pytest.mark.parametrize(
    ("layer", "mean", "variance"),
    [
        (layers.GaussianNoise(0.5, seed=1), 0.0, 0.25),
        (layers.AlphaDropout(0.3, seed=1), 0.0, 0.0),
    ],
)
def test_noise_has_its_moments(layer: Any, mean: float, variance: float, rng: Any) -> None:
    x = rng.standard_normal((300, 300)).astype(np.float32)
    y = layer(x, training=True)
    n = x.size
    assert abs(float(y.mean()) - mean) < 6 * np.sqrt((1 + variance) / n)
    assert float(y.var()) == pytest.approx(1 + variance, rel=0.02)


def test_gaussian_dropout_has_the_variance_of_dropout() -> None:
    y = layers.GaussianDropout(0.2, seed=1)(np.ones((300, 300), np.float32), training=True)
    assert float(y.mean()) == pytest.approx(1.0, abs=0.01)
    assert float(y.var()) == pytest.approx(0.25, rel=0.05)


def test_softmax_masks() -> None:
    x = np.array([[1.0, 2.0, 3.0]], np.float32)
    y = layers.Softmax()(x, mask=np.array([[True, True, False]]))
    wanted = np.exp([1.0, 2.0]) / np.exp([1.0, 2.0]).sum()
    np.testing.assert_allclose(y[0, :2], wanted, rtol=1e-6)
    assert y[0, 2] == 0
    np.testing.assert_array_equal(layers.Softmax()(x, mask=np.array([[1.0, 1.0, 0.0]])), y)
    assert not layers.Softmax()(x, mask=np.zeros((1, 3), bool)).any()
    with pytest.raises(ValueError, match="mask"):
        layers.Softmax()(x, mask=np.ones((1, 2)))


def test_leaky_relu_takes_its_old_argument() -> None:
    with pytest.warns(UserWarning, match="alpha"):
        assert layers.LeakyReLU(alpha=0.1).negative_slope == 0.1


def test_reshape_with_open_sizes() -> None:
    layer = layers.Reshape((-1, 2))
    assert layer.compute_output_shape((None, None)) == (None, None, 2)
    assert layer(keras.Input((None,))).shape == (None, None, 2)
    assert layer.compute_output_shape((None, 6)) == (None, 3, 2)
    with pytest.raises(ValueError, match="total size"):
        layer.compute_output_shape((None, 5))


def test_shape_layers_keep_integers() -> None:
    x = np.arange(12).reshape(2, 2, 3)
    for layer in (layers.Flatten(), layers.Reshape((6,)), layers.Permute((2, 1))):
        assert layer(x).dtype == x.dtype
        assert layer(keras.Input((2, 3), dtype="int64")).dtype == "int64"


def test_merges_refuse_what_does_not_fit() -> None:
    a, b = np.ones((2, 3)), np.ones((2, 4))
    for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"):
        layer = getattr(layers, name)()
        with pytest.raises(ValueError, match=f"{name} '.*': expected shapes that fit"):
            layer([a, b])
        with pytest.raises(ValueError, match="a list of inputs"):
            layer(keras.Input((3,)))
    with pytest.raises(ValueError, match="except along axis 1"):
        layers.Concatenate(axis=1)([np.ones((2, 3, 4)), np.ones((2, 3, 5))])
    with pytest.raises(ValueError, match="except along axis 5"):
        layers.Concatenate(axis=5)([a, a])
    with pytest.raises(ValueError, match="batch axis"):
        layers.Dot(axes=0)([a, a])


def test_concatenate_with_open_sizes() -> None:
    shape = layers.Concatenate(axis=1).compute_output_shape([(None, None, 3), (None, 2, 3)])
    assert shape == (None, None, 3)
    shape = layers.Concatenate().compute_output_shape([(None, None, 3), (None, 2, 4)])
    assert shape == (None, 2, 7)


def test_lambda() -> None:
    x = np.array([[1.0, 2.0]], np.float32)
    layer = layers.Lambda(lambda x, k, training=None: x * k if training else x, arguments={"k": 3})
    assert layer(x).tolist() == x.tolist()
    assert layer(x, training=True).tolist() == (3 * x).tolist()
    assert layers.Lambda(lambda x: x, output_shape=(5,)).compute_output_shape((None, 2)) == (
        None,
        5,
    )
    halved = layers.Lambda(lambda x: x[:, :1], output_shape=lambda s: (s[0], 1))
    assert halved.compute_output_shape((None, 2)) == (None, 1)
    assert layers.Lambda(lambda x: x[:, ::2])(keras.Input((4,))).shape == (None, 2)
    with pytest.raises(TypeError, match="callable"):
        layers.Lambda(3)


def test_a_lambda_is_never_stored_as_code() -> None:
    layer = layers.Lambda(lambda x: x * 2)
    with pytest.warns(UserWarning, match="lambda"):
        config = layer.get_config()
    with pytest.raises(ValueError, match="custom_objects"):
        layers.Lambda.from_config(config)
    again = layers.Lambda.from_config(config, custom_objects={"<lambda>": layer.function})
    assert again(np.ones((1, 1))).tolist() == [[2.0]]


def test_wrapper_round_trip() -> None:
    class Twice(layers.Wrapper):
        def call(self, x: Any) -> Any:
            return self.layer(self.layer(x))

    layer = Twice(layers.Dense(3))
    x = np.ones((2, 3), np.float32)
    y = layer(x)
    assert len(layer.weights) == 2
    again = Twice.from_config(layer.get_config())
    again.build((None, 3))
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(x), y)


def test_input() -> None:
    x = keras.Input((2, None), batch_size=3, dtype="int32", name="x")
    assert (x.shape, x.dtype, x.name) == ((3, 2, None), "int32", "x")
    layer = x._keras_history[0]
    assert layer.get_config() == {
        "batch_shape": (3, 2, None),
        "dtype": "int32",
        "sparse": False,
        "ragged": False,
        "name": "x",
        "optional": False,
    }
    again = layers.InputLayer.from_config(layer.get_config())
    assert again.output.shape == x.shape
    assert copy.deepcopy(layer).batch_shape == layer.batch_shape
    assert keras.Input(tensor=x) is x
    for bad in (
        {"shape": (2, -1)},
        {"shape": 3},
        {"shape": ("a",)},
        {"shape": (2,), "ragged": True},
    ):
        with pytest.raises(ValueError, match=r"expected|ragged"):
            keras.Input(**bad)
    with pytest.raises(ValueError, match="dtype"):
        keras.Input(tensor=x, dtype="float32")


def test_input_spec() -> None:
    spec = keras.InputSpec(shape=(None, 3), dtype="float32", name="x")
    assert keras.InputSpec.from_config(spec.get_config()).get_config() == spec.get_config()
    assert repr(spec) == "InputSpec(dtype=float32, shape=(None, 3), ndim=2)"

    class Two(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.input_spec = [
                keras.InputSpec(shape=(None, 3), name="a"),
                keras.InputSpec(max_ndim=2, name="b", optional=True),
            ]

        def call(self, data: Any) -> Any:
            return data["a"]

    a = np.ones((2, 3))
    assert Two()({"a": a, "b": None}).shape == (2, 3)
    for bad in ({"a": a}, {"a": a.T, "b": a}, {"a": a, "b": a[None]}, {"a": a, "b": a, "c": a}):
        if len(bad) == 3:
            continue
        with pytest.raises(ValueError, match="Two"):
            Two()(bad)


def test_layer_normalization_by_hand() -> None:
    layer = layers.LayerNormalization(epsilon=1.0)
    # mean 2, variance 8: (x - 2) / sqrt(9)
    y = layer(np.array([[-2.0, 2.0, 2.0, 6.0]]))
    np.testing.assert_allclose(y, [[-4 / 3, 0, 0, 4 / 3]], atol=1e-6)
    with pytest.raises(TypeError, match="axis"):
        layers.LayerNormalization(axis="last")
    with pytest.raises(ValueError, match="axis 5"):
        layers.UnitNormalization(axis=5)(np.ones((1, 2)))


def test_serialize_and_deserialize() -> None:
    layer = keras.layers.Dense(3, activation="relu", name="d")
    config = keras.layers.serialize(layer)
    assert keras.layers.deserialize(config).get_config() == layer.get_config()
    with pytest.raises(ValueError, match="config of a layer"):
        keras.layers.deserialize(keras.initializers.serialize(keras.initializers.Zeros()))


def test_rms_scaling_divides_by_the_deviation_alone() -> None:
    with pytest.warns(UserWarning, match="RMSNormalization"):
        layer = layers.LayerNormalization(rms_scaling=True, epsilon=0.0)
    x = np.array([[0.0, 2.0, 4.0]], "float32")
    np.testing.assert_allclose(layer(x), x / x.std(), rtol=1e-6)
    assert [w.name for w in layer.weights] == ["gamma"]
    assert layer.get_config()["rms_scaling"] is True


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_time_distributed_adds_no_activity_penalty(engine: str) -> None:
    def inner() -> Any:
        return layers.Dense(3, activity_regularizer="l2", kernel_initializer="ones")

    inputs = keras.Input((2, 4))
    model = keras.Model(inputs, layers.TimeDistributed(inner())(inputs))
    model.compile("sgd", "mse", engine=engine)
    x = np.ones((4, 2, 4), "float32")
    assert model.evaluate(x, np.full((4, 2, 3), 4.0), verbose=0) == 0.0
