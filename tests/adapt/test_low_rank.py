"""LoRA on every layer that takes it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import densekit as keras

# Per layer: how it is made, inputs, and whether the plan holds it natively.
CASES: dict[str, tuple[Any, Any]] = {
    "dense": (lambda **k: keras.layers.Dense(3, activation="tanh", **k), (4, 5)),
    "flatten": (lambda **k: keras.layers.Dense(3, flatten=True, **k), (4, 2, 5)),
    "einsum": (lambda **k: keras.layers.EinsumDense("abc,cd->abd", (None, 3), **k), (4, 2, 5)),
    "embedding": (lambda **k: keras.layers.Embedding(7, 3, **k), None),
    "reversible": (lambda **k: keras.layers.ReversibleEmbedding(7, 3, **k), None),
}


def inputs(shape: Any) -> Any:
    rng = np.random.default_rng(3)
    return rng.integers(0, 7, (4, 2)) if shape is None else rng.normal(size=shape).astype("float32")


def corrected(name: str) -> tuple[Any, Any, Any]:
    """A model of one layer with LoRA, trained a little; the same before; its inputs."""
    make, shape = CASES[name]
    x = inputs(shape)
    model = keras.Sequential([keras.Input(x.shape[1:], dtype=x.dtype.name), make()])
    before = model.predict(x, verbose=0)
    model.layers[0].enable_lora(2, lora_alpha=3)
    np.testing.assert_array_equal(model.predict(x, verbose=0), before)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(x, np.ones_like(before), epochs=3, verbose=0)
    return model, before, x


@pytest.mark.parametrize("name", CASES)
def test_only_the_correction_learns_and_files_hold_the_sum(name: str, tmp_path: Path) -> None:
    model, before, x = corrected(name)
    (layer,) = model.layers
    weight = layer._dk_weight
    a, b = layer._dk_low_rank()
    assert (a.name, b.name) == (f"lora_{weight}_a", f"lora_{weight}_b")
    assert np.abs(b.numpy()).max() > 0
    frozen = getattr(layer, f"_{weight}")
    assert not frozen.trainable
    total = frozen.numpy() + np.float32(1.5) * (a.numpy() @ b.numpy())
    np.testing.assert_allclose(getattr(layer, weight), total, rtol=1e-6, atol=1e-7)
    after = model.predict(x, verbose=0)
    assert np.abs(after - before).max() > 1e-4
    np.testing.assert_allclose(layer(x), after, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "m.keras")
    read = keras.saving.load_model(tmp_path / "m.keras")
    assert read.layers[0].lora_enabled
    assert read.layers[0].lora_alpha == 3
    assert not any(v.numpy().any() for v in read.layers[0]._dk_low_rank())
    np.testing.assert_allclose(read.predict(x, verbose=0), after, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["dense", "flatten", "einsum", "embedding", "reversible"])
def test_it_runs_natively_and_learns_what_the_definition_learns(name: str) -> None:
    native, _, x = corrected(name)
    assert "host" not in str(native.explain_plan()).lower()
    make, _ = CASES[name]
    reference = keras.Sequential([keras.Input(x.shape[1:], dtype=x.dtype.name), make()])
    (layer,) = reference.layers
    layer.enable_lora(2, lora_alpha=3)
    reference.set_weights(native.get_weights())
    target = np.ones_like(native.predict(x, verbose=0))
    for model, engine in ((native, "native"), (reference, "reference")):
        model.compile(keras.optimizers.SGD(0.1), "mse", engine=engine)
        model.fit(x, target, epochs=2, verbose=0, shuffle=False)
    for ours, theirs in zip(native.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


def test_what_it_refuses() -> None:
    layer = keras.layers.Dense(3)
    with pytest.raises(ValueError, match="isn't yet built"):
        layer.enable_lora(2)
    layer.build((None, 4))
    with pytest.raises(ValueError, match="integer >= 1"):
        layer.enable_lora(0)
    with pytest.raises(ValueError, match="nonsense"):
        layer.enable_lora(2, b_initializer="nonsense")
    assert [v.name for v in layer.weights] == ["kernel", "bias"]
    assert not layer.lora_enabled
    layer.enable_lora(2)
    with pytest.raises(ValueError, match="already enabled"):
        layer.enable_lora(2)
    constrained = keras.layers.Dense(3, kernel_constraint="max_norm", lora_rank=2)
    with pytest.raises(ValueError, match="constraint"):
        constrained.build((None, 4))
    assert not constrained.built
    with pytest.raises(ValueError, match="cannot add new elements"):
        layer.add_weight(shape=(2,))


def test_asked_for_in_the_constructor_it_keeps_its_strength() -> None:
    layer = keras.layers.Dense(3, lora_rank=2, lora_alpha=5)
    assert not layer.lora_enabled
    layer.build((None, 4))
    assert layer.lora_enabled
    assert layer.lora_alpha == 5
    assert layer.get_config()["lora_alpha"] == 5
    assert [v.path for v in layer.weights[2:]] == [
        f"{layer.name}/lora_kernel_a",
        f"{layer.name}/lora_kernel_b",
    ]


def test_copies_and_clones_have_their_own() -> None:
    model, _, x = corrected("dense")
    copied = copy.deepcopy(model)
    np.testing.assert_array_equal(copied.predict(x, verbose=0), model.predict(x, verbose=0))
    copied.layers[0].lora_kernel_b.assign(np.zeros((2, 3)))
    assert np.abs(copied.predict(x, verbose=0) - model.predict(x, verbose=0)).max() > 1e-4
    clone = keras.models.clone_model(model)
    assert clone.layers[0].lora_enabled


def test_a_subclass_with_its_own_call_is_still_asked() -> None:
    @keras.saving.register_keras_serializable("low_rank")
    class Doubled(keras.layers.Dense):
        def call(self, inputs: Any) -> Any:
            return keras.ops.matmul(inputs, self.kernel) * 2

    x = inputs((4, 5))
    model = keras.Sequential([keras.Input((5,)), Doubled(3, lora_rank=2)])
    layer = model.layers[0]
    layer.lora_kernel_b.assign(np.ones((2, 3)))
    total = layer._kernel.numpy() + layer.lora_kernel_a.numpy() @ np.ones((2, 3))
    np.testing.assert_allclose(model.predict(x, verbose=0), 2 * x @ total, rtol=1e-5, atol=1e-6)


def test_the_way_back_of_a_reversible_embedding() -> None:
    ids = inputs(None)
    for tied in (True, False):
        layer = keras.layers.ReversibleEmbedding(7, 3, tie_weights=tied, logit_soft_cap=2.0)
        rows = layer(ids)
        matrix = layer.embeddings.numpy().T if tied else layer.reverse_embeddings.numpy()
        scores = np.tanh(rows @ matrix / 2) * 2
        np.testing.assert_allclose(layer(rows, reverse=True), scores, rtol=1e-5, atol=1e-6)
    layer = keras.layers.ReversibleEmbedding(7, 3, tie_weights=False)
    x = keras.Input((2,), dtype="int32")
    model = keras.Model(x, layer(keras.layers.Dense(3)(layer(x)), reverse=True))
    assert model.output_shape == (None, 2, 7)
    assert "host" not in str(model.explain_plan()).lower()
    tied = keras.layers.ReversibleEmbedding(7, 3, mask_zero=True)
    np.testing.assert_array_equal(tied.compute_mask(ids), ids != 0)
    assert tied.compute_mask(np.ones((2, 2, 3), "float32")) is None
    assert tied(keras.Input((2, 3)), reverse=True).shape == (None, 2, 7)
