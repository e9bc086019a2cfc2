"""Quantized layers: what they hold, compute, train and refuse."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import densekit as keras

X = np.random.default_rng(0).normal(size=(16, 12)).astype("float32")
Int8, Int4 = keras.quantizers.Int8QuantizationConfig, keras.quantizers.Int4QuantizationConfig

CONFIGS: dict[str, Any] = {
    "int8": lambda: Int8(),
    "int8 weights": lambda: Int8(activation_quantizer=None),
    "int4": lambda: Int4(),
    "int4 groups": lambda: Int4(block_size=5),
    "int4 outputs": lambda: Int4(block_size=None),
    "int4 inputs": lambda: Int4(None, keras.quantizers.AbsMaxQuantizer(), block_size=-1),
}


def network(**options: Any) -> Any:
    return keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(16, activation="relu", name="hidden", **options),
            keras.layers.EinsumDense("ab,bc->ac", 3, bias_axes="c", name="last", **options),
        ]
    )


@pytest.mark.parametrize("kind", CONFIGS)
def test_outputs_stay_near_and_bytes_become_fewer(kind: str, tmp_path: Path) -> None:
    model = network()
    before, size = model.predict(X, verbose=0), sum(v.array.nbytes for v in model.weights)
    model.quantize(config=CONFIGS[kind]())
    after = model.predict(X, verbose=0)
    bound = 0.02 if kind.startswith("int8") else 0.4
    assert 0 < np.abs(after - before).max() < bound * np.abs(before).max()
    assert (
        sum(v.array.nbytes for v in model.weights) < (0.5 if "groups" not in kind else 0.6) * size
    )
    assert all(not v.trainable for v in model.weights if v.name != "bias")
    np.testing.assert_allclose(model(X), after, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model.layers[1](model.layers[0](X)), after, rtol=1e-5, atol=1e-5)
    model.save(tmp_path / "m.keras")
    read = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(read.predict(X, verbose=0), after)
    assert read.layers[0].dtype_policy == model.layers[0].dtype_policy
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.predict(X, verbose=0), after)


@pytest.mark.parametrize("kind", CONFIGS)
def test_biases_and_corrections_train_as_the_definition_says(kind: str) -> None:
    first = network()
    first.quantize(config=CONFIGS[kind]())
    for layer in first.layers:
        layer.enable_lora(2)
    second = copy.deepcopy(first)
    target = np.random.default_rng(1).normal(size=(16, 3)).astype("float32")
    for model, engine in ((first, "native"), (second, "reference")):
        model.compile(keras.optimizers.SGD(0.1), "mse", engine=engine)
        model.fit(X, target, epochs=3, batch_size=8, shuffle=False, verbose=0)
    moved = [v.numpy() for v in first.trainable_weights]
    assert all(np.abs(v).max() > 0 for v in moved)
    for ours, wanted in zip(moved, second.trainable_weights, strict=True):
        np.testing.assert_allclose(ours, wanted.numpy(), rtol=2e-4, atol=2e-5)


def test_weights_read_anew_are_used() -> None:
    model, other = network(), network()
    for one in (model, other):
        one.quantize("int4")
    before = model.predict(X, verbose=0)
    for one in (model, copy.deepcopy(model)):
        np.testing.assert_array_equal(one.predict(X, verbose=0), before)
        one.set_weights(other.get_weights())
        np.testing.assert_array_equal(one.predict(X, verbose=0), other.predict(X, verbose=0))
    assert np.abs(model.predict(X, verbose=0) - before).max() > 0


@pytest.mark.parametrize(
    "policy", ["int8_from_float32", "int4_from_float32", "int4/4_from_float32"]
)
def test_a_policy_quantizes(policy: str) -> None:
    made = network(dtype=policy)
    assert made.layers[0].quantization_mode == policy[:4]
    floats = network()
    floats.layers[0].dtype_policy = "int8_from_float32"
    assert floats.layers[0].weights[1].dtype == "int8"
    block = {"int4/4": 4, "int4_f": None}.get(policy[:6])
    config = Int8() if policy[:4] == "int8" else Int4(block_size=block)
    source = network()
    source.quantize(config=config)
    assert [v.shape for v in made.weights] == [v.shape for v in source.weights]
    made.set_weights(source.get_weights())
    np.testing.assert_array_equal(made.predict(X, verbose=0), source.predict(X, verbose=0))


def test_filters() -> None:
    for filters, wanted in (
        ("hid", ["int8", None]),
        (["^last$"], [None, "int8"]),
        (lambda layer: layer.name == "last", [None, "int8"]),
        (None, ["int8", "int8"]),
    ):
        model = network()
        model.quantize("int8", filters=filters)
        assert [layer.quantization_mode for layer in model.layers] == wanted


def test_what_is_refused_changes_nothing() -> None:
    with pytest.raises(ValueError, match="isn't yet built"):
        keras.layers.Dense(2).quantize("int8")
    model = network()
    layer = model.layers[0]
    for arguments, words in (
        ({"mode": "int2"}, "Invalid quantization mode"),
        ({}, "either `mode` or `config`"),
        ({"mode": "int8", "config": Int4()}, "Contradictory"),
        ({"config": 3}, "QuantizationConfig"),
        ({"mode": "int8", "filters": 3}, "`filters`"),
        ({"mode": "int8", "nonsense": 3}, "nonsense"),
    ):
        with pytest.raises(ValueError, match=words):
            model.quantize(**arguments)
    for mode in ("float8", "gptq", "awq"):
        with pytest.raises(NotImplementedError, match=f"'{mode}'"):
            model.quantize(mode)
        with pytest.raises(NotImplementedError, match=f"'{mode}'"):
            keras.dtype_policies.get(f"{mode}/4/128_from_float32")
    assert layer.quantization_mode is None
    assert [v.dtype for v in layer.weights] == ["float32", "float32"]
    model.quantize("int8")
    with pytest.raises(ValueError, match="already quantized"):
        model.quantize("int8")
    half = keras.layers.Dense(2, dtype="float16")
    half.build((None, 2))
    with pytest.raises(ValueError, match="float16"):
        half.quantize("int8")
    flat = keras.layers.Flatten()
    flat.build((None, 2))
    with pytest.raises(NotImplementedError, match="`quantize`"):
        flat.quantize("int8")


class Doubled(keras.layers.Dense):
    """Computes something else."""

    def call(self, inputs: Any) -> Any:
        return 2 * super().call(inputs)


def test_subclasses_are_quantized_only_if_asked() -> None:
    layer = Doubled(2)
    layer.build((None, 12))
    with pytest.raises(NotImplementedError, match="`quantize`"):
        layer.quantize("int8")
    model = keras.Sequential([keras.Input((12,)), Doubled(3, name="d")])
    with pytest.warns(UserWarning, match=r"d \(Doubled\)"):
        model.quantize("int8")
    layer.quantize("int8", type_check=False)
    assert layer.quantization_mode == "int8"


def test_a_failed_quantizer_leaves_the_layer_as_it_was() -> None:
    class Broken(keras.quantizers.AbsMaxQuantizer):
        def __call__(self, x: Any, axis: Any = None, to_numpy: bool = False) -> Any:
            return np.zeros((1, 1), np.int8), np.ones((1, 1), np.float32)

    model = network()
    before = model.predict(X, verbose=0)
    with pytest.raises(ValueError):
        model.layers[0].quantize(config=Int8(Broken()))
    assert model.layers[0].quantization_mode is None
    np.testing.assert_array_equal(model.predict(X, verbose=0), before)


def test_summaries_and_frozen_layers() -> None:
    model = network()
    model.layers[0].trainable = False
    model.quantize("int8")
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    assert "Total params: 278 (392.00 B)" in "\n".join(lines)
    assert [v.name for v in model.trainable_weights] == ["bias"]


def test_higher_ranks_and_flattening() -> None:
    x = np.random.default_rng(2).normal(size=(4, 3, 5)).astype("float32")
    for options in ({}, {"flatten": True}):
        model = keras.Sequential([keras.Input((3, 5)), keras.layers.Dense(6, **options)])
        before = model.predict(x, verbose=0)
        model.quantize("int8")
        after = model.predict(x, verbose=0)
        assert after.shape == before.shape
        np.testing.assert_allclose(after, before, atol=0.05)


def test_mixed_precision() -> None:
    model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(6, dtype="mixed_bfloat16")])
    before = model.predict(X, verbose=0).astype("float32")
    model.quantize("int8")
    assert model.layers[0].dtype_policy.name == "int8_from_mixed_bfloat16"
    after = model.predict(X, verbose=0)
    assert after.dtype.name == "bfloat16"
    np.testing.assert_allclose(after.astype("float32"), before, atol=0.1)


def test_a_correction_of_a_kernel_whose_last_axis_is_summed() -> None:
    x = np.random.default_rng(2).normal(size=(4, 2, 5)).astype("float32")
    layer = keras.layers.EinsumDense("abc,dc->abd", (2, 5))
    layer.build((None, 2, 5))
    before = np.asarray(layer(x))
    layer.quantize("int8")
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(np.ones((2, 5)))
    change = np.einsum("abc,dc->abd", x, layer.lora_kernel_a.numpy() @ np.ones((2, 5)))
    np.testing.assert_allclose(layer(x), before + change, atol=0.1)


def test_policies_by_path() -> None:
    policies = {"one": "int8_from_float32", "two": "int4/2_from_float32"}
    by_path = keras.dtype_policies.DTypePolicyMap(
        policy_map={name: keras.dtype_policies.get(policy) for name, policy in policies.items()}
    )
    for name, mode, parts in (("one", "int8", 3), ("two", "int4", 5), ("three", None, 2)):
        layer = keras.layers.Dense(4, name=name, dtype=by_path)
        layer.build((None, 6))
        assert layer.quantization_mode == mode
        assert len(layer.weights) == parts
    layer = keras.layers.Dense(4, name="four", dtype=keras.dtype_policies.DTypePolicyMap())
    layer.build((None, 6))
    layer.quantize("int8")
    assert layer.quantization_mode == "int8"
    assert layer.dtype_policy["four"].name == "int8_from_float32"


def test_a_policy_is_known_by_name_before_anything_was_quantized() -> None:
    program = (
        "import densekit as k; print(k.layers.Dense(2, dtype='int8_from_float32').dtype_policy)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(keras.__file__).parents[1])}
    for first in ("", "import densekit; densekit.config.set_dtype_policy('int4_from_float32'); "):
        run = subprocess.run(
            [sys.executable, "-c", first + program], env=environment, capture_output=True, text=True
        )
        assert "int8_from_float32" in run.stdout, run.stderr
