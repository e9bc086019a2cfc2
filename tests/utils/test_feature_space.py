"""`FeatureSpace`: columns of every kind to what a network takes, in the sizes that Keras lists."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import densekit as keras

Space = keras.utils.FeatureSpace
KINDS = {
    "float_1": "float",
    "float_2": "float_normalized",
    "float_3": "float_discretized",
    "string_1": "string_categorical",
    "string_2": "string_hashed",
    "int_1": "integer_categorical",
    "int_2": "integer_hashed",
    "int_3": "integer_categorical",
}
CROSSES = [("float_3", "string_1"), ("string_2", "int_2")]
TENTHS = [i / 10 for i in range(10)]
VALUES: dict[str, list[Any]] = {
    "float": TENTHS,
    "string": list("0123456789"),
    "int": list(range(10)),
}
DATA = {name: VALUES[name.split("_")[0]] for name in KINDS}
ROW = {name: column[0] for name, column in DATA.items()}
ROWS = [{name: column[i] for name, column in DATA.items()} for i in range(10)]
BATCHES = [{name: column[i : i + 4] for name, column in DATA.items()} for i in range(0, 10, 4)]


def space(**arguments: Any) -> Any:
    return Space(**({"features": KINDS, "crosses": CROSSES} | arguments))


def adapted(**arguments: Any) -> Any:
    made = space(**arguments)
    made.adapt(DATA)
    return made


def test_sizes() -> None:
    made = adapted()
    assert made(DATA).shape == (10, 195)
    assert made(ROW).shape == (195,)
    np.testing.assert_array_equal(made(DATA)[0], made(ROW))
    assert made(DATA).dtype == "float32"


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame(DATA),
        pa.table(DATA),
        {name: np.array(column) for name, column in DATA.items()},
        BATCHES,
        [(batch, None) for batch in BATCHES],
        ROWS,
        iter(BATCHES),
        [pd.DataFrame(batch) for batch in BATCHES],
    ],
)
def test_adapt_takes_columns_as_anything(data: Any) -> None:
    made = space()
    made.adapt(data)
    np.testing.assert_allclose(made(DATA), adapted()(DATA), rtol=1e-5, atol=1e-6)


def test_adapt_takes_data_sets() -> None:
    class Batches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return len(BATCHES)

        def __getitem__(self, index: int) -> Any:
            return BATCHES[index], np.zeros(1)

    made = space()
    made.adapt(Batches())
    np.testing.assert_allclose(made(DATA), adapted()(DATA), rtol=1e-5, atol=1e-6)


def test_data_come_as_anything() -> None:
    made = adapted()
    columns = {n: np.array(c)[:, None] for n, c in DATA.items()}
    for data in (pd.DataFrame(DATA), pl.DataFrame(DATA), pa.table(DATA), columns):
        np.testing.assert_array_equal(made(data), made(DATA))


def test_adapting_again_forgets() -> None:
    made = adapted()
    made.adapt({name: column[:3] for name, column in DATA.items()})
    assert made(DATA).shape == (10, 195 - 3 * 7)  # three vocabularies of seven words fewer


def test_dict() -> None:
    encoded = adapted(output_mode="dict")(DATA)
    assert len(encoded) == 10
    sizes = {name: column.shape[1] for name, column in encoded.items()}
    assert sizes["string_1"] == 11
    assert sizes["int_2"] == sizes["string_2_X_int_2"] == sizes["float_3_X_string_1"] == 32
    assert adapted(output_mode="dict")(ROW)["int_2"].shape == (32,)


def test_whole_numbers() -> None:
    features = KINDS | {
        "string_1": Space.string_categorical(output_mode="int"),
        "int_2": Space.integer_hashed(num_bins=32, output_mode="int"),
    }
    crosses = [Space.cross(("string_1", "int_2"), crossing_dim=8, output_mode="int")]
    made = adapted(features=features, crosses=crosses, output_mode="dict")
    for name in ("string_1", "int_2", "string_1_X_int_2"):
        assert made(DATA)[name].shape == (10, 1)
        assert made(ROW)[name].shape == (1,)
        assert "int" in made(DATA)[name].dtype.name
    wanted = keras.layers.HashedCrossing(8)([made(DATA)["string_1"], made(DATA)["int_2"]])
    np.testing.assert_array_equal(made(DATA)["string_1_X_int_2"], wanted)


def test_each_feature_is_its_layer() -> None:
    features = {
        "float_1": Space.float_rescaled(scale=2.0, offset=1.0),
        "float_2": Space.float_normalized(),
        "float_3": Space.float_discretized(None, bin_boundaries=[0.25, 0.5]),
        "int_1": Space.integer_categorical(max_tokens=5, num_oov_indices=2),
    }
    made = adapted(features=features, crosses=None, output_mode="dict")
    encoded = made(DATA)
    tenths = np.array(TENTHS, "float32")
    np.testing.assert_allclose(encoded["float_1"][:, 0], 2 * tenths + 1)
    normal = (tenths - tenths.mean()) / tenths.std()
    np.testing.assert_allclose(encoded["float_2"][:, 0], normal, rtol=1e-5)
    np.testing.assert_array_equal(encoded["float_3"].argmax(1), np.digitize(tenths, [0.25, 0.5]))
    assert encoded["int_1"].shape == (10, 5)
    assert made.preprocessors["int_1"].get_vocabulary()[:2] == [-1, -1]


def test_own_layers() -> None:
    data = {"text": ["1st string", "2nd string", "3rd string"]}
    words = keras.layers.TextVectorization(output_mode="tf_idf")
    made = Space({"text": Space.feature("string", words, "float")})
    made.adapt(data)
    assert made(data).shape == (3, 5)


def test_what_is_known_needs_no_adapt() -> None:
    words = keras.layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=3)
    normal = keras.layers.Normalization(mean=12.0, variance=5.0)
    made = Space(
        {
            "int_1": "integer_hashed",
            "text": Space.feature("string", words, "int"),
            "float_1": Space.feature("float32", normal, "float"),
        },
        output_mode="dict",
    )
    encoded = made({"int_1": [1, 2], "text": ["a", "x b"], "float_1": [12.0, 2.0]})
    assert encoded["int_1"].shape == (2, 32)
    assert encoded["text"].tolist() == [[2, 0, 0], [1, 3, 0]]
    np.testing.assert_allclose(encoded["float_1"][:, 0], [0, -10 / 5**0.5], rtol=1e-5)


def test_models_on_top(tmp_path: Any) -> None:
    made = adapted()
    model = keras.Model(made.get_inputs(), keras.layers.Dense(1)(made.get_encoded_features()))
    model.compile("sgd", "mse")
    frame = pd.DataFrame(DATA)
    targets = np.arange(10.0)
    losses = model.fit(dict(frame), targets, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    wanted = model.layers[-1](made(DATA))
    np.testing.assert_allclose(model.predict(dict(frame), verbose=0), wanted, rtol=1e-5, atol=1e-5)
    model.save(tmp_path / "it.keras")
    again = keras.models.load_model(tmp_path / "it.keras")
    np.testing.assert_array_equal(
        again.predict(dict(frame), verbose=0), model.predict(dict(frame), verbose=0)
    )

    encoded = made.get_encoded_features()
    beside = keras.Model(encoded, keras.layers.Dense(1)(encoded))
    beside.compile("sgd", "mse")
    batches = ((made(batch), targets[:4]) for batch in BATCHES[:2] * 2)
    beside.fit(batches, steps_per_epoch=2, verbose=0)


def test_files(tmp_path: Any) -> None:
    made = adapted()
    made.save(tmp_path / "it.keras")
    again = keras.models.load_model(tmp_path / "it.keras")
    assert type(again) is Space
    np.testing.assert_array_equal(again(DATA), made(DATA))
    again.save(tmp_path / "again.keras")
    third = keras.models.load_model(tmp_path / "again.keras")
    np.testing.assert_array_equal(third(ROW), made(ROW))
    third.adapt(DATA)
    assert json.dumps(third.get_config()) == json.dumps(again.get_config())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"features": {}}, "features"),
        ({"features": {"a": "int"}, "crosses": None}, "invalid feature type"),
        ({"crossing_dim": None}, "crossing_dim"),
        ({"crosses": [("int_1", "unknown")]}, "unknown"),
        ({"crosses": [Space.cross(("int_1", "unknown"), 3)]}, "unknown"),
        ({"output_mode": "unknown"}, "output_mode"),
    ],
)
def test_other_arguments_are_refused(arguments: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        space(**arguments)


def test_misuse_is_refused() -> None:
    for method in (lambda s: s(DATA), lambda s: s.get_inputs(), lambda s: s.get_encoded_features()):
        with pytest.raises(ValueError, match="adapt"):
            method(space())
    made = adapted()
    with pytest.raises(ValueError, match="dict of columns"):
        made(np.ones((3, 8)))
    with pytest.raises(ValueError, match="'int_3'"):
        made({name: column for name, column in DATA.items() if name != "int_3"})
    with pytest.raises(ValueError, match="dict of columns"):
        space().adapt(3)
    with pytest.raises(ValueError, match="not encoded"):
        adapted(features=KINDS | {"int_1": Space.integer_categorical(output_mode="int")})
    with pytest.raises(ValueError, match="whole numbers"):
        own = Space.feature("float32", keras.layers.Rescaling(2.0), "one_hot")
        adapted(features={"float_1": own}, crosses=None)
    with pytest.raises(ValueError, match="output_mode"):
        Space.cross(("a", "b"), 3, output_mode="float")
    with pytest.raises(ValueError, match="output_mode"):
        Space.feature("float32", keras.layers.Identity(), "two_hot")
