"""The stack of layers: growing, shrinking, building, and staying whole when something fails."""

from __future__ import annotations

import numpy as np
import pytest

import densekit as keras

L = keras.layers


def test_layers_are_called_in_order(rng) -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(3), L.Activation("tanh"), L.Dense(2)])
    x = rng.normal(size=(5, 4)).astype("float32")
    expected = x
    for layer in model.layers:
        expected = layer(expected)
    np.testing.assert_allclose(model(x), expected, rtol=1e-5, atol=1e-6)


def test_adding_one_by_one_equals_a_list() -> None:
    one = keras.Sequential([keras.Input((4,)), L.Dense(3, name="a"), L.Dense(2, name="b")])
    two = keras.Sequential(name=one.name)
    for layer in (keras.Input((4,)), L.Dense(3, name="a"), L.Dense(2, name="b")):
        two.add(layer)
    first, second = (model.get_config()["layers"][1:] for model in (one, two))
    assert first == second  # but for the input layers, which are numbered
    assert [w.path for w in one.weights] == [w.path for w in two.weights]


def test_build_without_input_layer() -> None:
    model = keras.Sequential([L.Dense(3), L.Dense(2)])
    assert not model.built and model.weights == []
    model.build((None, 4))
    assert model.built and model.input_shape == (None, 4) and model.output_shape == (None, 2)
    assert [layer.name for layer in model.layers] == ["dense", "dense_1"]
    assert model.get_config()["build_input_shape"] == (None, 4)


def test_the_first_call_builds(rng) -> None:
    model = keras.Sequential([L.Dense(3)])
    assert model(rng.normal(size=(5, 4)).astype("float32")).shape == (5, 3)
    assert model.input_shape == (None, 4)


class Autoencoder(keras.Model):
    """Stacks that learn their input shape from the first call, as tutorials write them."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = keras.Sequential([L.Dense(2, "relu")])
        self.decoder = keras.Sequential([L.Dense(4)])

    def call(self, inputs):
        return self.decoder(self.encoder(inputs))


class Outer(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Autoencoder()

    def call(self, inputs):
        return self.inner(inputs)


@pytest.mark.parametrize("make", [Autoencoder, Outer])
@pytest.mark.parametrize("eager", [False, True])
def test_a_stack_called_inside_of_a_model_takes_batches_of_any_size(make, eager, rng) -> None:
    model, x = make(), rng.normal(size=(10, 4)).astype("float32")
    model.compile("sgd", "mse")
    if eager:
        model(x[:2])
    model.fit(x, x, batch_size=3, verbose=0)
    assert model.predict(x[:7], verbose=0).shape == (7, 4)
    inner = getattr(model, "inner", model)
    assert inner.encoder.input_shape == (None, 4)


def test_a_leading_model_brings_its_input_shape() -> None:
    inner = keras.Sequential([keras.Input((4,)), L.Dense(3)])
    model = keras.Sequential([inner, L.Dense(2)])
    assert model.built and model.output_shape == (None, 2)


def test_input_shape_of_the_first_layer() -> None:
    with pytest.warns(UserWarning, match="input_shape"):
        model = keras.Sequential([L.Dense(3, input_shape=(4,))])
    assert model.built and model.input_shape == (None, 4)


def test_pop_and_add_again() -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(3), L.Dense(2)])
    last = model.pop()
    assert model.output_shape == (None, 3) and len(model.weights) == 2
    model.add(L.Dense(7))
    assert model.output_shape == (None, 7) and len(model.weights) == 4
    assert last not in model.layers
    while model.layers:
        model.pop()
    assert model.layers == []


def test_pop_changes_what_a_call_gives(rng) -> None:
    x = rng.normal(size=(5, 4)).astype("float32")
    model = keras.Sequential([keras.Input((4,)), L.Dense(3), L.Dense(2)])
    assert model(x).shape == (5, 2)
    model.pop()
    assert model(x).shape == (5, 3)


class TwoInputs(L.Layer):
    def call(self, a, b):
        return a + b


@pytest.mark.parametrize(
    "bad",
    [
        lambda: 3,
        lambda: L.Dense(3, name="dense"),
        lambda: keras.Input((4,)),
        lambda: TwoInputs(),
        lambda: L.Reshape((5,)),
        lambda: L.Dense,
    ],
)
def test_a_refused_layer_leaves_the_model_as_it_was(bad, rng) -> None:
    x = rng.normal(size=(5, 4)).astype("float32")
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, name="dense")])
    expected, layers = model(x), model.layers
    with pytest.raises(ValueError):
        model.add(bad())
    assert model.layers == layers and model.built and len(model.weights) == 2
    np.testing.assert_array_equal(model(x), expected)


def test_one_layer_may_occur_twice(rng) -> None:
    layer = L.Dense(4)
    model = keras.Sequential([keras.Input((4,)), layer, layer])
    x = rng.normal(size=(5, 4)).astype("float32")
    np.testing.assert_allclose(model(x), layer(layer(x)), rtol=1e-5, atol=1e-6)
    assert len(model.weights) == 2


def test_rebuilding_for_another_shape_is_refused() -> None:
    model = keras.Sequential([L.Dense(3)])
    model.build((None, 4))
    with pytest.raises(ValueError, match="fixed by the input layer"):
        model.build((None, 5))
    model.build()
    assert model.input_shape == (None, 4)


@pytest.mark.parametrize("name", ["input_shape", "output_shape", "inputs", "outputs", "input"])
def test_an_unbuilt_model_has_no_shapes(name) -> None:
    with pytest.raises(AttributeError):
        getattr(keras.Sequential([L.Dense(3)]), name)


def test_config_round_trip() -> None:
    model = keras.Sequential([L.Dense(3), L.Dropout(0.1)], name="s", trainable=False)
    again = keras.Sequential.from_config(model.get_config())
    assert not again.built and again.name == "s" and not again.trainable
    with pytest.raises(ValueError, match="layers"):
        keras.Sequential.from_config({"name": "s"})


def test_a_thousand_layers_do_not_exhaust_the_stack() -> None:
    model = keras.Sequential([keras.Input((2,)), *(L.Activation("relu") for _ in range(1200))])
    assert len(model._dk_graph().nodes) == 1200
    assert model(np.ones((1, 2), "float32")).tolist() == [[1.0, 1.0]]


def test_integer_inputs_are_cast_to_the_input_layer_s_type() -> None:
    model = keras.Sequential([keras.Input((2,), dtype="float64"), L.Identity()])
    assert model(np.ones((1, 2), "int64")).dtype.kind == "f"


def test_sizes_that_no_weight_depends_on_may_change(rng) -> None:
    model = keras.Sequential([L.Dense(4), L.Reshape((-1, 2)), L.Dense(3)])
    for rows in (5, 9, 6):
        x = rng.normal(size=(2, rows, 7)).astype("float32")
        expected = x
        for layer in model.layers or ():
            expected = layer(expected)
        np.testing.assert_allclose(model(x), expected, rtol=1e-5, atol=1e-6)
        assert model.predict(x, verbose=0).shape == (2, 2 * rows, 3)
    assert model.input_shape == (None, None, 7)
    with pytest.raises(ValueError, match=r"expected shape \(None, None, 7\)"):
        model(np.ones((2, 5, 8)))
    assert model(np.ones((2, 5, 7))).shape == (2, 10, 3)


def test_batches_of_a_stream_may_differ_in_size(rng) -> None:
    def batches():
        for rows in (3, 5, 3):
            yield rng.normal(size=(2, rows, 4)), np.zeros((2, rows, 1))

    model = keras.Sequential([L.Dense(8, "relu"), L.Dense(1)])
    model.compile("sgd", "mse")
    before = model.fit(batches(), steps_per_epoch=3, verbose=0).history["loss"]
    assert np.isfinite(before).all()
    assert sum(len(model.predict_on_batch(x)) for x, _ in batches()) == 6


def test_a_model_whose_weights_depend_on_the_sizes_stays_as_it_was() -> None:
    model = keras.Sequential([L.Flatten(), L.Dense(2)])
    model(np.ones((2, 5, 7)))
    with pytest.raises(ValueError, match=r"expected shape \(None, 5, 7\)"):
        model.predict(np.ones((2, 5, 8)), verbose=0)
    assert model.input_shape == (None, 5, 7)
    assert model(np.ones((2, 5, 7))).shape == (2, 2)


def test_models_inside_models_take_rows_of_other_sizes(rng) -> None:
    inner = keras.Sequential([L.Dense(4, "relu"), L.Dense(3)])
    model = keras.Sequential([inner, L.Dense(2)])
    for rows in (5, 9):
        x = rng.normal(size=(2, rows, 7)).astype("float32")
        expected = model.layers[1](inner.layers[1](inner.layers[0](x)))
        np.testing.assert_allclose(model(x), expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(model(x, training=True), expected, rtol=1e-5, atol=1e-6)


def test_rows_of_other_sizes_are_taken_in_training_mode() -> None:
    model = keras.Sequential([L.Dense(3)])
    model(np.ones((2, 5, 7)))
    assert model(np.ones((2, 9, 7)), training=True).shape == (2, 9, 3)


def test_outputs_of_layers_follow_from_the_inputs_of_a_model_that_took_other_sizes(rng) -> None:
    model = keras.Sequential([L.Dense(3), L.Dense(2)])
    model(np.ones((2, 5, 7)))
    early = keras.Model(model.inputs, model.layers[0].output)
    model(np.ones((2, 9, 7)))
    x = rng.normal(size=(2, 5, 7)).astype("float32")
    late = keras.Model(model.inputs, model.layers[0].output)
    np.testing.assert_array_equal(early(x), late(x))
    assert late(np.ones((2, 8, 7))).shape == (2, 8, 3)


@pytest.mark.parametrize("normalization", [L.LayerNormalization, L.BatchNormalization])
def test_an_axis_that_weights_lie_along_is_not_opened(normalization) -> None:
    model = keras.Sequential([L.Dense(4), normalization(axis=1)])
    model(np.ones((2, 5, 7)))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"expected shape \(None, 5, 7\)"):
            model(np.ones((2, 9, 7)))
    assert model.input_shape == (None, 5, 7)
    assert [len(layer._inbound_nodes) for layer in model.layers] == [1, 1]


class Parts(keras.layers.Layer):
    """Gives and takes a dict."""

    def call(self, inputs):
        return {"sum": inputs["a"] + inputs["b"], "a": inputs["a"]}


class OfSum(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = L.Dense(2)

    def build(self, input_shape):
        self.dense.build(input_shape["sum"])

    def call(self, inputs):
        return self.dense(inputs["sum"])


STRUCTURES = {
    "dict": (lambda: [Parts(), OfSum()], lambda a, b: {"a": a, "b": b}),
    "list": (lambda: [L.Concatenate(), L.Dense(2)], lambda a, b: [a, b]),
    "tuple": (lambda: [L.Add(), L.Dense(2), L.Dense(2)], lambda a, b: (a, b)),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_first_layer_may_take_a_structure(name, rng) -> None:
    layers, structure = STRUCTURES[name]
    a, b = rng.normal(size=(2, 6, 3)).astype("float32")
    model = keras.Sequential(layers())
    x = model.layers[0](structure(a, b))
    for layer in model.layers[1:]:
        x = layer(x)
    np.testing.assert_allclose(model(structure(a, b)), x, rtol=1e-6)
    model.compile("sgd", "mse")
    model.fit(structure(a, b), np.zeros((6, 2), "float32"), verbose=0)
    expected = model(structure(a, b))
    np.testing.assert_array_equal(model.predict(structure(a, b), verbose=0), expected)
    assert np.abs(expected - x).max() > 0
    again = keras.Sequential.from_config(model.get_config(), {"Parts": Parts, "OfSum": OfSum})
    again.build(keras.tree.map_structure(np.shape, structure(a, b)))
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]


def test_a_stack_of_structures_is_part_of_a_graph() -> None:
    inner = keras.Sequential([L.Concatenate(), L.Dense(2)])
    a, b = keras.Input((2,)), keras.Input((3,))
    model = keras.Model([a, b], inner([a, b]))
    model.compile("sgd", "mse")
    model.fit([np.ones((4, 2)), np.ones((4, 3))], np.ones((4, 2)), verbose=0)
    assert model.output_shape == (None, 2)
    assert len(model.trainable_variables) == 2


@pytest.mark.parametrize("first", [False, True])
def test_a_layer_that_cannot_say_its_shape_runs(first) -> None:
    class Unsaid(L.Layer):
        def call(self, inputs):
            return inputs + 1.0

        def compute_output_spec(self, *args, **kwargs):
            raise NotImplementedError

    layers = [Unsaid(), L.Dense(2)] if first else [L.Dense(2), Unsaid()]
    model = keras.Sequential(layers)
    x = np.ones((4, 2), "float32")
    model.compile("sgd", "mse")
    model.fit(x, x, verbose=0)
    assert len(model.weights) == 2
    np.testing.assert_allclose(model.predict(x, verbose=0), layers[1](layers[0](x)), rtol=1e-6)
