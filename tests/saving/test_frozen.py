"""Frozen layers stay frozen, whatever way a model takes out of and back into memory."""

from __future__ import annotations

import numpy as np
import pytest

import densekit as keras

L = keras.layers


def sequential():
    return keras.Sequential([keras.Input((3,)), L.Dense(4, trainable=False), L.Dense(1)])


def functional():
    x = keras.Input((3,))
    return keras.Model(x, L.Dense(1)(L.Dense(4, trainable=False)(x)))


def nested():
    inner = keras.Sequential([keras.Input((3,)), L.Dense(4, trainable=False), L.Dense(4)])
    x = keras.Input((3,))
    return keras.Model(x, L.Dense(1)(inner(x)))


def frozen_nested():
    inner = keras.Sequential([keras.Input((3,)), L.Dense(4), L.Dense(4)])
    inner.trainable = False
    inner.layers[0].trainable = True
    return keras.Sequential([keras.Input((3,)), inner, L.Dense(1)])


def frozen_whole():
    model = keras.Sequential([keras.Input((3,)), L.Dense(4), L.Dense(1)])
    model.trainable = False
    model.layers[1].trainable = True
    return model


def frozen_functional():
    model = functional()
    model.trainable = False
    return model


@keras.saving.register_keras_serializable("frozen")
class Block(L.Layer):
    """Sub-layers that its config does not list, and a constructor without `trainable`."""

    def __init__(self, units):
        super().__init__()
        self.units = units
        self.first, self.second = L.Dense(units), L.Dense(units)

    def build(self, input_shape):
        self.first.build(input_shape)
        self.second.build((None, self.units))

    def call(self, x):
        return self.second(self.first(x))


def block_with_frozen_part():
    block = Block(4)
    block.first.trainable = False
    return keras.Sequential([keras.Input((3,)), block, L.Dense(1)])


def frozen_block():
    block = Block(4)
    block.trainable = False
    x = keras.Input((3,))
    return keras.Model(x, L.Dense(1)(block(x)))


MODELS = [
    sequential,
    functional,
    nested,
    frozen_nested,
    frozen_whole,
    frozen_functional,
    block_with_frozen_part,
    frozen_block,
]


def by_keras(model, path):
    model.save(path / "m.keras")
    return keras.models.load_model(path / "m.keras")


def by_h5(model, path):
    model.save(path / "m.h5")
    return keras.models.load_model(path / "m.h5")


def by_json(model, path):
    return keras.models.model_from_json(model.to_json())


def by_clone(model, path):
    return keras.models.clone_model(model)


def by_deep_clone(model, path):
    return keras.models.clone_model(model, recursive=True)


def by_config(model, path):
    return type(model).from_config(model.get_config())


WAYS = [by_keras, by_h5, by_json, by_clone, by_deep_clone, by_config]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", MODELS)
def test_flags_survive(make, way, tmp_path) -> None:
    model = make()
    copy = way(model, tmp_path)

    def flags(one):
        layers = one._flatten_layers()
        return [layer.trainable for layer in layers if not isinstance(layer, L.InputLayer)]

    assert flags(copy) == flags(model)
    assert False in flags(model)
    copy.build((None, 3))
    assert [v.shape for v in copy.trainable_variables] == [
        v.shape for v in model.trainable_variables
    ]
    if way in (by_keras, by_h5):
        for mine, theirs in zip(copy.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("extension", [".keras", ".h5"])
def test_a_gan_with_a_frozen_critic_keeps_its_optimizer_state(extension, tmp_path) -> None:
    generator = keras.Sequential([keras.Input((2,)), L.Dense(4, "relu"), L.Dense(3)])
    critic = keras.Sequential([keras.Input((3,)), L.Dense(4, "relu"), L.Dense(1)])
    critic.trainable = False
    z = keras.Input((2,))
    gan = keras.Model(z, critic(generator(z)))
    gan.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(32, 2))
    gan.fit(x, np.zeros((32, 1)), epochs=2, verbose=0)
    gan.save(tmp_path / f"gan{extension}")
    revived = keras.models.load_model(tmp_path / f"gan{extension}")
    assert len(revived.trainable_variables) == 4
    pairs = zip(gan.optimizer.variables, revived.optimizer.variables, strict=True)
    for mine, theirs in pairs:
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    for one in (gan, revived):
        one.fit(x, np.zeros((32, 1)), epochs=1, verbose=0, shuffle=False)
    for mine, theirs in zip(gan.get_weights(), revived.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_keras_passes_over_what_we_note() -> None:
    import json

    import keras as reference

    config = json.loads(sequential().to_json())
    config["config"]["layers"][1]["trainable_config"] = [False, False]
    revived = reference.models.model_from_json(json.dumps(config))
    assert len(revived.trainable_variables) == 2
