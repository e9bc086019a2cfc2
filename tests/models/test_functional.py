"""Models made of symbolic tensors: structures, shapes, cuts, configs."""

from __future__ import annotations

import json

import numpy as np
import pytest

import densekit as keras
from densekit._core import tree

L, ops = keras.layers, keras.ops


@pytest.fixture
def x(rng):
    return rng.normal(size=(5, 4)).astype("float32")


def test_model_with_inputs_and_outputs_is_functional() -> None:
    given = keras.Input((4,))
    for model in (
        keras.Model(given, L.Dense(2)(given)),
        keras.Model(inputs=given, outputs=L.Dense(2)(given), name="m"),
        keras.Model(given, outputs=L.Dense(2)(given)),
    ):
        assert isinstance(model, keras.models.Functional) and model.built


def test_structures_of_inputs(x) -> None:
    a, b = keras.Input((4,), name="b"), keras.Input((4,), name="a")
    out = L.Subtract()([a, b])
    by_list, by_dict = keras.Model([a, b], out), keras.Model({"b": a, "a": b}, out)
    expected = -x
    np.testing.assert_allclose(by_list([x, 2 * x]), expected)
    np.testing.assert_allclose(by_list((x, 2 * x)), expected)
    np.testing.assert_allclose(by_list({"b": x, "a": 2 * x}), expected)
    np.testing.assert_allclose(by_dict({"b": x, "a": 2 * x}), expected)
    with pytest.warns(UserWarning, match="no input takes"):
        np.testing.assert_allclose(by_dict({"b": x, "a": 2 * x, "more": x}), expected)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: [x],
        lambda x: [x, x, x],
        lambda x: {"a": x},
        lambda x: x,
        lambda x: [x, x[:, :3]],
        lambda x: [x, x[:, :, None, None]],
    ],
)
def test_inputs_that_do_not_fit_are_refused(wrong, x) -> None:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    model = keras.Model([a, b], L.Add()([a, b]))
    with pytest.raises(ValueError):
        model(wrong(x))


def test_one_axis_of_size_one_may_come_or_go(x) -> None:
    given = keras.Input((1,))
    model = keras.Model(given, L.Dense(2)(given))
    column = x[:, :1]
    np.testing.assert_allclose(model(column[:, 0]), model(column), rtol=1e-6)
    np.testing.assert_allclose(model(column[:, :, None]), model(column), rtol=1e-6)


def test_output_of_one_tensor_in_a_list(x) -> None:
    given = keras.Input((4,))
    model = keras.Model(given, [L.Dense(2)(given)])
    assert np.shape(model(x)) == (5, 2)


def test_an_input_can_be_an_output(x) -> None:
    given = keras.Input((4,))
    model = keras.Model(given, [given, L.Dense(2)(given)])
    np.testing.assert_array_equal(model(x)[0], x)


def test_cutting_a_model_shares_the_layers(x) -> None:
    given = keras.Input((4,))
    hidden = L.Dense(3, name="h")(given)
    whole = keras.Model(given, L.Dense(2, name="o")(hidden))
    first = keras.Model(whole.input, whole.get_layer("h").output)
    second = keras.Model(hidden, whole.output)
    np.testing.assert_allclose(second(first(x)), whole(x), rtol=1e-5, atol=1e-6)
    assert second.get_layer("o") is whole.get_layer("o")
    assert keras.Model.from_config(second.get_config()).output_shape == (None, 2)


def test_a_model_called_on_symbols_is_a_layer(x) -> None:
    given = keras.Input((4,))
    inner = keras.Model(given, L.Dense(3)(given), name="inner")
    other = keras.Input((4,))
    outer = keras.Model(other, L.Add()([inner(other), inner(other * 2.0)]))
    np.testing.assert_allclose(outer(x), inner(x) + inner(2 * x), rtol=1e-5, atol=1e-5)
    assert len(outer.weights) == 2


def test_dimensions_left_open(x) -> None:
    given = keras.Input((None, 4))
    model = keras.Model(given, L.Dense(2)(given))
    assert model.output_shape == (None, None, 2)
    for length in (3, 7):
        assert model(np.zeros((2, length, 4), "float32")).shape == (2, length, 2)
    assert model.compute_output_shape((6, 5, 4)) == (6, 5, 2)


def test_ops_are_nodes(x) -> None:
    given = keras.Input((4,))
    y = ops.relu(given[:, 1:] - 0.5) + ops.mean(given, axis=-1, keepdims=True)
    model = keras.Model(given, y)
    expected = np.maximum(x[:, 1:] - 0.5, 0) + x.mean(-1, keepdims=True)
    np.testing.assert_allclose(model(x), expected, rtol=1e-5, atol=1e-6)
    again = keras.models.model_from_json(model.to_json())
    np.testing.assert_allclose(again(x), expected, rtol=1e-5, atol=1e-6)


def test_names_must_differ() -> None:
    given = keras.Input((4,))
    with pytest.raises(ValueError, match="twice"):
        keras.Model(given, L.Dense(2, name="d")(L.Dense(4, name="d")(given)))


@pytest.mark.parametrize("outputs", [[], 3, None, np.ones(3), "x"])
def test_outputs_that_are_no_symbols(outputs) -> None:
    with pytest.raises(ValueError):
        keras.Model(keras.Input((4,)), outputs)


def test_calls_outside_of_the_model_are_left_out_of_its_config() -> None:
    given, other = keras.Input((4,), name="x"), keras.Input((4,), name="y")
    shared = L.Dense(4, name="d")
    shared(other)  # the first call belongs to nothing
    model = keras.Model(given, shared(shared(given)))
    config = json.loads(json.dumps(model.get_config()))
    (dense,) = (c for c in config["layers"] if c["name"] == "d")
    places = [n["args"][0]["config"]["keras_history"] for n in dense["inbound_nodes"]]
    assert places == [["x", 0, 0], ["d", 0, 0]] and config["output_layers"] == ["d", 1, 0]
    again = keras.models.Functional.from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config


def test_config_of_a_graph_with_loops_is_refused() -> None:
    given = keras.Input((4,), name="x")
    model = keras.Model(given, L.Dense(4, name="d")(given))
    config = json.loads(json.dumps(model.get_config()))
    call = config["layers"][1]["inbound_nodes"][0]
    call["args"][0]["config"]["keras_history"] = ["d", 0, 0]
    with pytest.raises(ValueError, match="loops"):
        keras.models.Functional.from_config(config)
    call["args"][0]["config"]["keras_history"] = ["nope", 0, 0]
    with pytest.raises(ValueError, match="nope"):
        keras.models.Functional.from_config(config)


def test_from_config_leaves_the_config_alone() -> None:
    given = keras.Input((4,))
    config = keras.Model(given, L.Dense(2)(given)).get_config()
    before = json.dumps(config)
    keras.Model.from_config(config)
    assert json.dumps(config) == before


def test_unused_inputs_are_kept(x) -> None:
    a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    model = keras.Model([a, b], L.Dense(2)(a))
    assert [layer.name for layer in model.layers] == ["b", "a", "dense"] or len(model.layers) == 3
    assert model([x, x[:, :2]]).shape == (5, 2)


def test_symbolic_inputs_of_another_batch(x) -> None:
    given = keras.Input((4,))
    model = keras.Model(given, {"y": L.Dense(2)(given)})
    spec = model.compute_output_spec(keras.KerasTensor((7, 4)))
    assert [t.shape for t in tree.flatten(spec)] == [(7, 2)]


@pytest.mark.parametrize("kind", [list, tuple])
def test_outputs_keep_their_kind_in_a_copy_from_the_config(kind: type) -> None:
    x = keras.Input((3,))
    model = keras.Model(x, kind([keras.layers.Dense(n)(x) for n in (1, 2)]))
    copy = keras.models.Functional.from_config(model.get_config())
    assert type(copy(np.ones((2, 3)))) is kind


@pytest.mark.parametrize("quick", [False, True])
def test_calls_are_held_against_a_spec_that_is_set(quick) -> None:
    x = keras.Input((None, 2))
    model = keras.Model(x, L.Dense(1)(x))
    for _ in range(2 * quick):
        model(np.ones((3, 3, 2), "float32"))
    model.input_spec = keras.InputSpec(shape=(None, 4, 2), dtype="float32")
    assert model(np.ones((3, 4, 2))).shape == (3, 4, 1)
    with pytest.raises(ValueError, match=r"expected shape \(None, 4, 2\)"):
        model(np.ones((3, 3, 2), "float32"))
    model.input_spec = None
    assert model(np.ones((3, 3, 2), "float32")).shape == (3, 3, 1)


@pytest.mark.parametrize("outer", ["functional", "subclass"])
def test_models_inside_are_handed_their_inputs_by_name(x, outer: str) -> None:
    """The keys are in another order than the inputs of the model inside."""
    a, b = keras.Input((4,), name="b"), keras.Input((4,), name="a")
    inner = keras.Model([a, b], L.Subtract()([a, b]))

    class Outer(keras.Model):
        def call(self, inputs):
            return inner(inputs)

    if outer == "functional":
        given = {"b": keras.Input((4,)), "a": keras.Input((4,))}
        model = keras.Model(given, inner(given))
    else:
        model = Outer()
    data = {"b": x, "a": 2 * x}
    model.compile(loss="mse")
    assert model.evaluate(data, -x, verbose=0) == 0
    np.testing.assert_array_equal(model.predict(data, verbose=0), -x)
    np.testing.assert_array_equal(model(data), -x)


def test_a_call_of_users_reads_what_it_is_handed_in_its_own_way(x) -> None:
    class Difference(keras.Model):
        def call(self, inputs):
            if isinstance(inputs, dict):
                return inputs["b"] - inputs["a"]
            return inputs[0] - inputs[1]

    inner = Difference()
    inner([x, 2 * x])
    given = {"b": keras.Input((4,)), "a": keras.Input((4,))}
    model = keras.Model(given, inner(given))
    np.testing.assert_array_equal(model.predict({"b": x, "a": 2 * x}, verbose=0), -x)


def shaped(kind: str):
    """A callable for each way to give shapes to a model: it returns the shape of the output."""
    given = keras.Input((4,))
    if kind == "function":
        return keras.Function(given, L.Dense(2)(given)).compute_output_shape
    if kind == "functional":
        return keras.Model(given, L.Dense(2)(given)).compute_output_shape
    if kind == "sequential":
        return keras.Sequential([given, L.Dense(2)]).compute_output_shape

    def build(shape):
        model = keras.Sequential([L.Dense(2)])
        if kind == "own":
            model = type("Own", (keras.Model,), {"call": lambda self, x: self.dense(x)})()
            model.dense = L.Dense(2)
        model.build(shape)
        return (shape[0], model.weights[0].shape[1])

    return build


@pytest.mark.parametrize("kind", ["function", "functional", "sequential", "own", "open"])
def test_shapes_are_of_any_integers_and_nothing_else(kind: str) -> None:
    compute = shaped(kind)
    for shape in ((None, 4), (None, np.int64(4)), [np.int32(3), np.uint8(4)]):
        assert compute(shape) == (shape[0], 2), shape
    for wrong in (1.5, "x", None, object(), True, (None, 4.5), (2, "a"), [(2, 4), (2, 4)]):
        with pytest.raises(ValueError, match="expected"):
            compute(wrong)


def test_weights_are_of_whole_sizes() -> None:
    layer = L.Layer()
    for wrong in ((2, 4.5), 3, "x"):
        with pytest.raises(ValueError, match="shape: expected a tuple of ints"):
            layer.add_weight(shape=wrong)
    assert layer.weights == [] and layer.add_weight(shape=(np.int64(2),)).shape == (2,)
