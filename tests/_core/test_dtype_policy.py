"""Policies by paths of layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit.dtype_policies import DTypePolicy, DTypePolicyMap


def test_keys_are_paths_or_regular_expressions() -> None:
    policies = DTypePolicyMap("mixed_bfloat16", {"a/.*": DTypePolicy("float64")})
    policies["b"] = "float16"
    assert policies["a/dense"].name == "float64"
    assert policies["b"].name == "float16"
    assert policies["b/dense"] is policies.default_policy
    assert (policies.compute_dtype, policies.variable_dtype) == ("bfloat16", "float32")
    assert policies.name == "map_mixed_bfloat16"
    assert policies.quantization_mode is None
    assert (len(policies), list(policies), "a/dense" in policies) == (2, ["a/.*", "b"], False)
    policies[".*/dense"] = "float32"
    with pytest.raises(ValueError, match="one key at most"):
        policies["a/dense"]
    with pytest.raises(ValueError, match="Delete it first"):
        policies["b"] = "float32"
    for wrong in ("nope", 3.5):
        with pytest.raises(ValueError, match="Pass"):
            policies["c"] = wrong
    del policies[".*/dense"]
    with pytest.raises(KeyError):
        del policies[".*/dense"]
    with pytest.raises(ValueError, match="no map"):
        DTypePolicyMap(policies)
    with pytest.raises(TypeError, match="a dict"):
        DTypePolicyMap(policy_map=["float32"])


def test_the_global_policy_is_the_default() -> None:
    keras.config.set_dtype_policy("float64")
    assert DTypePolicyMap().compute_dtype == "float64"


def test_layers_take_the_policy_of_their_path() -> None:
    policies = DTypePolicyMap("float32", {"net/second": DTypePolicy("float64")})
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, dtype=policies, name="first"),
            keras.layers.Dense(2, dtype=policies, name="second"),
        ],
        name="net",
    )
    assert [w.dtype for w in model.weights] == ["float32"] * 2 + ["float64"] * 2
    assert [layer.compute_dtype for layer in model.layers] == ["float32", "float64"]
    assert model.predict(np.ones((2, 3)), verbose=0).dtype == np.float64
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 3)), np.ones((8, 2)), verbose=0)
    first = model.layers[0]
    first.dtype_policy = "float64"  # of this layer alone
    assert policies["net/first"].name == "float64"
    assert first.dtype_policy is policies


def test_files_hold_them(tmp_path: Path) -> None:
    policies = DTypePolicyMap("float32", {".*second": DTypePolicy("float64")})
    model: Any = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, dtype=policies, name="first"),
            keras.layers.Dense(2, dtype=policies, name="second"),
        ]
    )
    model.save(tmp_path / "model.keras")
    revived: Any = keras.saving.load_model(tmp_path / "model.keras")
    assert revived.layers[1].dtype_policy == policies
    x = np.ones((2, 3))
    np.testing.assert_array_equal(revived.predict(x, verbose=0), model.predict(x, verbose=0))
    assert keras.dtype_policies.deserialize(keras.dtype_policies.serialize(policies)) == policies


def test_a_policy_without_name_is_the_global_one() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert keras.DTypePolicy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.DTypePolicy().name == "float32"


def test_policies_that_are_none_or_no_names_are_refused() -> None:
    with pytest.raises(ValueError, match="set_dtype_policy"):
        keras.config.set_dtype_policy(None)
    with pytest.raises(TypeError, match="source_name"):
        keras.dtype_policies.QuantizedDTypePolicy("int8", 123)


def test_int_is_a_name_of_int32_as_in_keras() -> None:
    assert keras.backend.standardize_dtype("int") == "int32"
    with pytest.raises(ValueError, match="float"):
        keras.backend.standardize_dtype("float")
