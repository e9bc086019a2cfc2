"""Subclassed models, what models have in common, and which way a call takes."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit._core import tree

L, ops = keras.layers, keras.ops


class Net(keras.Model):
    """A plain subclass."""

    def __init__(self, units=3, **kwargs) -> None:
        super().__init__(**kwargs)
        self.hidden = L.Dense(units, activation="relu")
        self.drop = L.Dropout(0.5, seed=1)
        self.out = L.Dense(2)

    def call(self, inputs, training=None):
        return self.out(self.drop(self.hidden(inputs), training=training))


@pytest.fixture
def x(rng):
    return rng.normal(size=(6, 4)).astype("float32")


def definition(model, *inputs, **kwargs):
    """What the formulas give, without the native plan."""
    return L.Layer.__call__(model, *inputs, **kwargs)


def test_a_subclass_is_built_by_its_first_call(x) -> None:
    model = Net()
    assert not model.built and model.weights == []
    assert model(x).shape == (6, 2)
    assert model.built and [w.path for w in model.weights] == [
        "net/dense/kernel",
        "net/dense/bias",
        "net/dense_1/kernel",
        "net/dense_1/bias",
    ]
    assert [layer.name for layer in model.layers] == ["dense", "dropout", "dense_1"]


def test_build_by_shape(x) -> None:
    model = Net()
    model.build((None, 4))
    assert model.count_params() == 23 and model.get_build_config() == {"input_shape": (None, 4)}
    np.testing.assert_array_equal(model(x), model(x))


def test_native_calls_give_what_the_definition_gives(x) -> None:
    model = Net()
    expected = definition(model, x)
    for _ in range(3):  # the first call makes the plan, later ones take the short way
        np.testing.assert_allclose(model(x), expected, rtol=1e-5, atol=1e-6)


def test_training_flag_takes_the_definition(x) -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dropout(0.5, seed=1)])
    np.testing.assert_array_equal(model(x), x)
    assert (model(x, training=True) == 0).any()
    np.testing.assert_array_equal(model(x, training=False), x)


def test_an_inner_model_follows_the_outer_call(x) -> None:
    """Its own short way must not be taken while a layer around it trains or is differentiated."""
    inner = keras.Sequential([keras.Input((4,)), L.Dropout(0.5, seed=1)])
    inner(x)

    class Outer(L.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def call(self, inputs):
            return self.inner(inputs)

    assert (Outer()(x, training=True) == 0).any()
    np.testing.assert_array_equal(Outer()(x), x)


def test_stateless_values_reach_the_call(x) -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(2, use_bias=False)])
    model(x)
    outputs, state = model.stateless_call([np.zeros((4, 2), "float32")], [], x)
    np.testing.assert_array_equal(outputs, np.zeros((6, 2)))
    assert state == []
    assert np.abs(model(x)).max() > 0


def test_a_changed_layer_is_noticed(x) -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(2)])
    before = model(x)
    model.layers[0].activation = keras.activations.relu
    np.testing.assert_array_equal(model(x), np.maximum(before, 0))
    model.layers[0].kernel.assign(np.zeros((4, 2)))
    assert not model(x).any()


def test_integers_and_other_floats_are_cast(x) -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(2)])
    expected = model(x.round())
    for dtype in ("int64", "float64", "uint8" if (x.round() >= 0).all() else "int8"):
        np.testing.assert_allclose(model(x.round().astype(dtype)), expected, rtol=1e-6)
    assert model(x.astype("float64")).dtype == "float32"


def test_no_rows() -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(2)])
    assert model(np.zeros((0, 4), "float32")).shape == (0, 2)


def test_several_inputs_and_outputs(x) -> None:
    class Two(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = L.Dense(2), L.Dense(3)

        def call(self, inputs):
            left, right = inputs
            return {"sum": self.a(left) + self.a(right), "b": self.b(right)}

    model = Two()
    outputs = model([x, 2 * x])
    assert set(outputs) == {"sum", "b"}
    for key, value in definition(model, [x, 2 * x]).items():
        np.testing.assert_allclose(outputs[key], value, rtol=1e-5, atol=1e-6)


def test_positional_arguments_beyond_the_first(x) -> None:
    class Scaled(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = L.Dense(2)

        def call(self, inputs, other, factor=1.0):
            return self.dense(inputs) + factor * self.dense(other)

    model = Scaled()
    y = model(x, x, factor=2.0)
    np.testing.assert_allclose(y, 3 * model.dense(x), rtol=1e-5, atol=1e-6)


def test_a_subclass_of_inputs_and_outputs_is_functional(x) -> None:
    class Own(keras.Model):
        def __init__(self, units=5, **kwargs) -> None:
            inputs = keras.Input((4,))
            super().__init__(inputs=inputs, outputs=L.Dense(units)(inputs), **kwargs)
            self.units = units

    model = Own(7)
    assert isinstance(model, keras.models.Functional)
    assert model.output_shape == (None, 7)
    again = Own.from_config(model.get_config())
    assert type(again) is Own and again.units == 7 and again.output_shape == (None, 7)
    assert model(x).shape == (6, 7)


def test_a_class_that_was_made_of_no_graph_yet_revives_one() -> None:
    class Made(keras.Model):
        pass

    class Fresh(keras.Model):
        pass

    inputs = keras.Input((4,))
    config = Made(inputs, L.Dense(3)(inputs)).get_config()
    again = Fresh.from_config(config)
    assert type(again) is Fresh and again.output_shape == (None, 3)


def test_a_graph_belongs_to_one_model_of_its_class() -> None:
    class Own(keras.Model):
        pass

    inputs = keras.Input((4,))
    Own(inputs, L.Dense(3)(inputs))
    assert Own.__bases__ == (keras.Model,)
    other = Own()
    other.outputs = L.Dense(2)  # which is free, as this one was given no graph
    assert other.layers == [other.outputs] and not hasattr(other, "inputs")
    with pytest.raises(AttributeError, match="no setter"):
        Own(inputs, L.Dense(3)(inputs)).outputs = 1


def test_get_layer(x) -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(2, name="a"), L.Dense(3, name="b")])
    assert model.get_layer("b") is model.get_layer(index=1) is model.layers[1]


@pytest.mark.parametrize("how", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_independent(how, x) -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(2)])
    expected = model(x)
    other = how(model)
    np.testing.assert_array_equal(other(x), expected)
    other.layers[0].kernel.assign(np.zeros((4, 2)))
    np.testing.assert_array_equal(model(x), expected)


def test_models_grow_after_they_are_built(x) -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(2)])
    model.extra = L.Dense(3)
    model.extra.build((None, 2))
    assert len(model.weights) == 4


def test_a_model_without_call_says_so(x) -> None:
    with pytest.raises(NotImplementedError, match="call"):
        keras.Model()(x)


@pytest.mark.parametrize("policy", [None, "float32", "mixed_bfloat16"])
def test_json_round_trip(policy: str | None) -> None:
    if policy is not None:
        keras.config.set_dtype_policy(policy)
    model = keras.Sequential([keras.Input((4,)), L.Dense(2, activation="tanh")])
    model.compile("adam", "mse")
    again = keras.models.model_from_json(model.to_json(indent=1))
    assert json.loads(again.to_json()) == json.loads(model.to_json())
    assert again.compiled


def test_freezing_reaches_every_layer() -> None:
    inner = keras.Sequential([keras.Input((4,)), L.Dense(2)])
    x = keras.Input((4,))
    model = keras.Model(x, L.Dense(1)(inner(x)))
    model.trainable = False
    assert model.trainable_weights == [] and not inner.layers[0].trainable
    assert len(model.non_trainable_weights) == 4


def test_output_structure_is_kept(x) -> None:
    given = keras.Input((4,))
    model = keras.Model(given, {"a": L.Dense(1)(given), "b": [L.Dense(2)(given)]})
    outputs = model(x)
    assert [leaf.shape for leaf in tree.flatten(outputs)] == [(6, 1), (6, 2)]
    assert isinstance(outputs["b"], list)


def test_a_config_of_keras_2_makes_a_model() -> None:
    first = {"batch_input_shape": [None, 10], "dtype": "float32", "name": "i"}
    config: dict[str, Any] = {
        "name": "old",
        "layers": [
            {"class_name": "InputLayer", "name": "i", "config": first, "inbound_nodes": []},
            {
                "class_name": "Dense",
                "name": "a",
                "config": {"units": 3, "name": "a"},
                "inbound_nodes": [[["i", 0, 0, {}]]],
            },
        ],
        "input_layers": [["i", 0, 0]],
        "output_layers": [["a", 0, 0]],
    }
    assert keras.Model.from_config(config).output_shape == (None, 3)
    config["layers"][1]["inbound_nodes"] = [[["a", 0, 0, {}]]]
    with pytest.raises(ValueError, match="loops"):
        keras.Model.from_config(config)


def test_a_loss_for_an_unknown_output_of_a_dict_is_a_key_error() -> None:
    x = keras.Input((2,))
    model = keras.Model(x, {name: keras.layers.Dense(1)(x) for name in ("a", "b")})
    model.compile("sgd", {"a": "mse", "c": "mse"})
    data = np.ones((4, 2)), {name: np.ones((4, 1)) for name in ("a", "b")}
    with pytest.raises(KeyError, match="'c'"):
        model.fit(*data, verbose=0)
