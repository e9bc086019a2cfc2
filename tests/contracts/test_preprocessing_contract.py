"""Layers that prepare data: like any layer, on inputs of their own kinds, in models and files."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object

NUMBERS = np.array([[0.5, -1.0], [3.0, 0.2], [0.0, 9.0], [-4.0, 1.0]], "float32")
CLASSES = np.array([[0, 3], [1, 1], [2, 0], [3, 2]])
WORDS = np.array([["a", "b"], ["c", "a"], ["longer", "a"], ["b", ""]])
TEXTS = np.array([["a b"], ["c, A"], ["longer a"], [""]])

# Per layer: arguments and inputs.
PREPROCESSING: dict[str, list[tuple[dict[str, Any], Any]]] = {
    "CategoryEncoding": [
        *(({"num_tokens": 4, "output_mode": m}, CLASSES) for m in ("multi_hot", "count")),
        ({"num_tokens": 4, "output_mode": "one_hot"}, CLASSES),
        ({"num_tokens": 3, "output_mode": "one_hot"}, CLASSES[:, :1]),
    ],
    "Hashing": [
        ({"num_bins": 3}, WORDS),
        ({"num_bins": 3, "salt": [133, 137], "mask_value": "a"}, WORDS),
        ({"num_bins": 3, "output_mode": "count"}, CLASSES),
        ({"num_bins": 3, "dtype": "int32"}, CLASSES),
    ],
    "IntegerLookup": [
        ({"vocabulary": [1, 3]}, CLASSES),
        ({"vocabulary": [1, 3], "mask_token": 0, "num_oov_indices": 2}, CLASSES),
        ({"vocabulary": [1, 3], "num_oov_indices": 3, "oov_method": "farmhash"}, CLASSES),
        *(
            ({"vocabulary": [1, 3, 0], "output_mode": mode}, CLASSES)
            for mode in ("one_hot", "multi_hot", "count")
        ),
        ({"vocabulary": [1], "output_mode": "tf_idf", "idf_weights": [0.5]}, CLASSES),
        ({"vocabulary": [10, 30, 20], "invert": True}, CLASSES),
    ],
    "StringLookup": [
        ({"vocabulary": ["a", "c"]}, WORDS),
        ({"vocabulary": ["c"], "num_oov_indices": 2, "mask_token": "a"}, WORDS),
        (
            {
                "vocabulary": ["c"],
                "max_tokens": 5,
                "pad_to_max_tokens": True,
                "output_mode": "multi_hot",
            },
            WORDS,
        ),
    ],
    "TextVectorization": [
        ({"vocabulary": ["a", "longer"], "output_sequence_length": 3}, TEXTS),
        ({"vocabulary": ["a b"], "ngrams": (2,), "output_mode": "count"}, TEXTS[:, 0]),
        (
            {"vocabulary": ["a"], "output_mode": "tf_idf", "idf_weights": [0.5], "split": None},
            TEXTS,
        ),
    ],
    "Discretization": [
        ({"bin_boundaries": [0.0, 1.0]}, NUMBERS),
        ({"bin_boundaries": [0.0, 1.0], "output_mode": "one_hot"}, NUMBERS[:, :1]),
        ({"bin_boundaries": [0.0, 1.0, 2.0], "output_mode": "multi_hot"}, NUMBERS),
        ({"bin_boundaries": [0.0], "output_mode": "count"}, NUMBERS),
    ],
}


def cases(table: Any) -> Any:
    return pytest.mark.parametrize(
        ("name", "arguments", "inputs"),
        [
            pytest.param(name, arguments, inputs, id=f"{name}-{i}")
            for name, entries in table.items()
            for i, (arguments, inputs) in enumerate(entries)
        ],
    )


each_sample = cases(PREPROCESSING)


def create(kind: str, arguments: dict[str, Any], **more: Any) -> Any:
    return getattr(keras.layers, kind)(**arguments, **more)


def symbolic(inputs: Any) -> Any:
    return keras.Input(inputs.shape[1:], dtype=keras.backend.standardize_dtype(inputs.dtype))


@each_sample
def test_config_comes_back(name: str, arguments: Any, inputs: Any) -> None:
    layer = create(name, arguments, name="it")
    config = layer.get_config()
    assert arguments.keys() <= config.keys()
    for again in (
        type(layer).from_config(json.loads(json.dumps(config))),
        deserialize_keras_object(json.loads(json.dumps(serialize_keras_object(layer)))),
    ):
        assert type(again) is type(layer)
        assert json.dumps(again.get_config()) == json.dumps(config)
        np.testing.assert_array_equal(again(inputs), layer(inputs))


@each_sample
def test_a_batch_is_its_rows(name: str, arguments: Any, inputs: Any) -> None:
    layer = create(name, arguments)
    batch = layer(inputs)
    for i in range(len(inputs)):
        np.testing.assert_array_equal(layer(inputs[i : i + 1])[0], batch[i])
    none = layer(inputs[:0])
    assert (none.shape, none.dtype) == ((0, *batch.shape[1:]), batch.dtype)


@each_sample
def test_lists_are_arrays(name: str, arguments: Any, inputs: Any) -> None:
    layer = create(name, arguments)
    np.testing.assert_array_equal(layer(inputs.tolist()), layer(inputs))


@each_sample
def test_the_symbolic_shape_is_the_eager_one(name: str, arguments: Any, inputs: Any) -> None:
    layer = create(name, arguments)
    spec, eager = layer(symbolic(inputs)), layer(inputs)
    assert spec.shape == (None, *eager.shape[1:])
    assert spec.shape == tuple(layer.compute_output_shape((None, *inputs.shape[1:])))
    assert spec.dtype == eager.dtype.name


@each_sample
def test_copies_compute_the_same(name: str, arguments: Any, inputs: Any) -> None:
    layer = create(name, arguments)
    wanted = layer(inputs)
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(again(inputs), wanted)


@each_sample
def test_models_and_files_hold_them(name: str, arguments: Any, inputs: Any, tmp_path: Any) -> None:
    layer = create(name, arguments)
    x = symbolic(inputs)
    model = keras.Model(x, layer(x))
    model.save(tmp_path / "it.keras")
    wanted = layer(inputs)
    for one in (model, keras.models.load_model(tmp_path / "it.keras")):
        for y in (one(inputs), one.predict(inputs, verbose=0)):
            np.testing.assert_array_equal(y, wanted)
            assert y.dtype == wanted.dtype
