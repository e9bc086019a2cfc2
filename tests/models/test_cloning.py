"""Clones: same architecture, own weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras

L, clone_model = keras.layers, keras.models.clone_model


def sequential():
    return keras.Sequential([keras.Input((4,)), L.Dense(3, activation="relu"), L.Dense(2)])


def functional():
    x = keras.Input((4,), name="x")
    shared = L.Dense(4)
    return keras.Model(x, {"a": shared(shared(x)), "b": sequential()(x)})


class Subclass(keras.Model):
    def __init__(self, units=2, **kwargs) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.dense = L.Dense(units)

    def call(self, x):
        return self.dense(x)


@pytest.mark.parametrize("builder", [sequential, functional])
def test_architecture_is_kept_and_weights_are_own(builder) -> None:
    model = builder()
    copy = clone_model(model)
    assert copy.get_config() == model.get_config()
    assert [w.shape for w in copy.weights] == [w.shape for w in model.weights]
    assert not {id(w) for w in copy.weights} & {id(w) for w in model.weights}
    assert np.abs(copy.weights[0].numpy() - model.weights[0].numpy()).max() > 0


def test_compile_arguments_are_kept() -> None:
    model = sequential()
    model.compile("adam", "mse")
    copy = clone_model(model)
    assert copy.compiled and copy.optimizer is not model.optimizer


def test_a_subclass_is_cloned_by_its_config() -> None:
    model = Subclass(5)
    copy = clone_model(model)
    assert type(copy) is Subclass and copy.units == 5


def test_own_layers_and_calls() -> None:
    def wider(layer):
        config = layer.get_config()
        if "units" in config:
            config["units"] *= 2
        return type(layer).from_config(config)

    assert clone_model(sequential(), clone_function=wider).output_shape == (None, 4)
    x = keras.Input((4,))
    model = keras.Model(x, L.Dense(2)(x))

    def scaled(layer, *args, **kwargs):
        return layer(*args, **kwargs) * 2.0

    copy = clone_model(model, clone_function=lambda layer: layer, call_function=scaled)
    data = np.ones((1, 4), "float32")
    np.testing.assert_allclose(copy(data), 2 * model(data), rtol=1e-6)


def test_recursive_cloning_reaches_nested_layers() -> None:
    seen = []

    def note(layer):
        seen.append(type(layer).__name__)
        return type(layer).from_config(layer.get_config())

    clone_model(functional(), clone_function=note)
    assert "Sequential" in seen and seen.count("Dense") == 1
    seen.clear()
    clone_model(functional(), clone_function=note, recursive=True)
    assert "Sequential" not in seen and seen.count("Dense") == 3


@pytest.mark.parametrize("builder", [sequential, functional])
def test_given_inputs(builder) -> None:
    tensor = keras.Input((4,), batch_size=7)
    copy = clone_model(builder(), input_tensors=tensor)
    assert copy.inputs[0].shape == (7, 4)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: clone_model(sequential(), input_tensors=[3]),
        lambda: clone_model(functional(), input_tensors=[keras.Input((4,)), keras.Input((4,))]),
        lambda: clone_model(Subclass(), clone_function=lambda layer: layer),
        lambda: clone_model(sequential(), call_function=lambda layer, x: layer(x)),
    ],
)
def test_misuse(wrong) -> None:
    with pytest.raises(ValueError):
        wrong()


@pytest.mark.parametrize("other", [tuple, lambda tensors: dict(zip("xz", tensors, strict=True))])
def test_new_inputs_have_the_keys_of_the_old(other: Any) -> None:
    inputs = {"x": keras.Input((3,)), "y": keras.Input((3,))}
    model = keras.Model(inputs, keras.layers.Subtract()([inputs["y"], inputs["x"]]))
    tensors = [keras.Input((3,)), keras.Input((3,))]
    with pytest.raises(ValueError, match="in the model's structure"):
        keras.models.clone_model(model, input_tensors=other(tensors))
