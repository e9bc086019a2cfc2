"""LoRA against Keras: the same weights give the same outputs, training and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import densekit

X = np.random.default_rng(0).normal(size=(48, 6)).astype("float32")
IDS = np.random.default_rng(1).integers(0, 9, (48, 6)).astype("int32")


def dense(lib: Any) -> Any:
    return lib.Sequential(
        [
            lib.Input((6,)),
            lib.layers.Dense(8, activation="tanh", kernel_regularizer="l2", name="a"),
            lib.layers.EinsumDense("ab,bc->ac", 3, bias_axes="c", name="b"),
        ]
    )


def sums(lib: Any) -> Any:
    return lib.Sequential(
        [
            lib.Input((6,)),
            lib.layers.Reshape((2, 3)),
            lib.layers.EinsumDense("abc,bcd->ad", 4, bias_axes="d", activation="relu", name="a"),
        ]
    )


def embedding(lib: Any) -> Any:
    return lib.Sequential(
        [
            lib.Input((6,), dtype="int32"),
            lib.layers.Embedding(9, 3, name="a", embeddings_regularizer="l2"),
        ]
    )


def reversible(lib: Any) -> Any:
    x = lib.Input((6,), dtype="int32")
    layer = lib.layers.ReversibleEmbedding(9, 3, logit_soft_cap=3.0, name="a")
    return lib.Model(x, layer(layer(x), reverse=True))


CASES = {"dense": dense, "sums": sums, "embedding": embedding, "reversible": reversible}


def pair(name: str) -> tuple[Any, Any, Any]:
    """The model of both libraries with LoRA and the same weights, and its inputs."""
    ours, theirs = CASES[name](densekit), CASES[name](keras)
    for model in (ours, theirs):
        for layer in model.layers:
            if hasattr(layer, "enable_lora"):
                layer.enable_lora(2, lora_alpha=3)
    rng = np.random.default_rng(5)
    values = [rng.normal(size=v.shape, scale=0.3).astype("float32") for v in theirs.weights]
    for model in (ours, theirs):
        model.set_weights(values)
    return ours, theirs, IDS if "e" in name[0] or name == "reversible" else X


@pytest.mark.parametrize("name", CASES)
def test_weights_outputs_and_training(name: str) -> None:
    ours, theirs, x = pair(name)
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        assert (a.name, a.shape, a.dtype, a.trainable) == (b.name, b.shape, b.dtype, b.trainable)
    wanted = theirs.predict(x, verbose=0)
    np.testing.assert_allclose(ours.predict(x, verbose=0), wanted, rtol=1e-5, atol=2e-6)
    target = np.random.default_rng(7).normal(size=wanted.shape).astype("float32")
    histories = []
    for model, lib in ((ours, densekit), (theirs, keras)):
        model.compile(lib.optimizers.SGD(0.1), "mse")
        run = model.fit(x, target, epochs=3, batch_size=16, shuffle=False, verbose=0)
        histories.append(run.history["loss"])
    np.testing.assert_allclose(*histories, rtol=1e-5)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("to_keras", [True, False])
def test_files_both_ways(name: str, to_keras: bool, tmp_path: Path) -> None:
    ours, theirs, x = pair(name)
    source, lib = (ours, keras) if to_keras else (theirs, densekit)
    wanted = source.predict(x, verbose=0)
    source.save(tmp_path / "m.keras")
    read = lib.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(read.predict(x, verbose=0), wanted, rtol=1e-5, atol=2e-6)
    assert any(getattr(layer, "lora_enabled", False) for layer in read.layers)
    source.save_weights(tmp_path / "m.weights.h5")
    plain = CASES[name](lib)  # the file holds the sum: a model without LoRA reads it
    plain.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_allclose(plain.predict(x, verbose=0), wanted, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["Dense", "EinsumDense", "Embedding"])
def test_configs(name: str) -> None:
    arguments: dict[str, Any] = {
        "Dense": {"units": 2},
        "EinsumDense": {"equation": "ab,bc->ac", "output_shape": 2},
        "Embedding": {"input_dim": 3, "output_dim": 2},
    }[name]
    arguments |= {"lora_rank": 2, "lora_alpha": 4, "name": "it"}
    ours = getattr(densekit.layers, name)(**arguments).get_config()
    assert list(ours) == list(getattr(keras.layers, name)(**arguments).get_config())


def test_errors_are_of_the_same_type() -> None:
    for lib in (densekit, keras):
        with pytest.raises(ValueError, match="isn't yet built"):
            lib.layers.Dense(2).enable_lora(2)
        layer = lib.layers.Dense(2, lora_rank=1)
        layer.build((None, 3))
        with pytest.raises(ValueError, match="lora is already enabled"):
            layer.enable_lora(2)
        constrained = lib.layers.Embedding(2, 3, embeddings_constraint="max_norm")
        constrained.build()
        with pytest.raises(ValueError, match="Lora is incompatible with"):
            constrained.enable_lora(2)


def test_the_strength_given_to_the_constructor_of_dense_holds() -> None:
    """Keras forgets it when it builds `Dense` and `Embedding`, not `EinsumDense`."""
    for lib, strength in ((densekit, 4), (keras, 2)):
        layer = lib.layers.Dense(3, lora_rank=2, lora_alpha=4)
        layer.build((None, 5))
        assert layer.lora_alpha == strength
