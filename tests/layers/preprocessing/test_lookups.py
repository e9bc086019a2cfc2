"""`Hashing`, `StringLookup`, `IntegerLookup`: buckets and indices as Keras lists them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import densekit as keras

layers = keras.layers
LETTERS = [["A"], ["B"], ["C"], ["D"], ["E"]]
NAMES = np.array([["omar"], ["stringer"], ["marlo"], ["wire"], ["skywalker"]])
ROWS = [["a", "c", "d", "d"], ["d", "z", "b", "z"]]


@pytest.mark.parametrize(
    ("arguments", "inputs", "wanted"),
    [
        ({"num_bins": 3}, LETTERS, [1, 0, 1, 1, 2]),
        ({"num_bins": 3, "mask_value": ""}, [["A"], ["B"], [""], ["C"], ["D"]], [1, 1, 0, 2, 2]),
        ({"num_bins": 3, "salt": [133, 137]}, LETTERS, [1, 2, 1, 0, 2]),
        ({"num_bins": 3, "salt": 133}, LETTERS, [0, 0, 2, 1, 0]),
        ({"num_bins": 2}, NAMES, [0, 0, 1, 0, 0]),
        ({"num_bins": 3, "mask_value": "omar"}, NAMES, [0, 1, 2, 1, 1]),
        ({"num_bins": 3}, [[0], [1], [2], [3], [4]], [1, 0, 1, 0, 2]),
        ({"num_bins": 3}, [[0.9], [1.1], [2.0], [3.0], [4.0]], [1, 0, 1, 0, 2]),
    ],
)
def test_buckets(arguments: Any, inputs: Any, wanted: Any) -> None:
    assert layers.Hashing(**arguments)(inputs).ravel().tolist() == wanted


def test_strings_come_as_anything() -> None:
    layer = layers.StringLookup(vocabulary=["a", "b", "ü"])
    for data in (
        ["b", "ü", "?"],
        np.array(["b", "ü", "?"], object),
        pd.Series(["b", "ü", "?"]),
        pd.Series(["b", "ü", "?"]).astype("category"),
        np.array([b"b", "ü".encode(), b"?"]),
    ):
        assert layer(data).tolist() == [2, 3, 0]
    for wrong in ([1, 2], np.array(["a", None], object), np.array(["a", np.nan], object)):
        with pytest.raises(ValueError, match="strings"):
            layer(wrong)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({}, [[1, 3, 4, 4], [4, 0, 2, 0]]),
        ({"mask_token": "z"}, [[2, 4, 5, 5], [5, 0, 3, 0]]),
        ({"output_mode": "multi_hot"}, [[0, 1, 0, 1, 1], [1, 0, 1, 0, 1]]),
        ({"output_mode": "count"}, [[0, 1, 0, 1, 2], [2, 0, 1, 0, 1]]),
        ({"output_mode": "count", "mask_token": "z"}, [[0, 1, 0, 1, 2], [0, 0, 1, 0, 1]]),
        (
            {"output_mode": "tf_idf", "idf_weights": [0.25, 0.75, 0.6, 0.4]},
            [[0, 0.25, 0, 0.6, 0.8], [1.0, 0, 0.75, 0, 0.4]],
        ),
    ],
)
def test_lookup(arguments: Any, wanted: Any) -> None:
    layer = layers.StringLookup(vocabulary=["a", "b", "c", "d"], **arguments)
    np.testing.assert_allclose(layer(ROWS), wanted, rtol=1e-6)


def test_unknown_strings_share_indices() -> None:
    layer = layers.StringLookup(vocabulary=["a", "b", "c", "d"], num_oov_indices=2)
    assert layer([["a", "c", "d"], ["m", "z", "b"]]).tolist() == [[2, 4, 5], [0, 1, 3]]
    with pytest.raises(ValueError, match="num_oov_indices=1"):
        layers.StringLookup(vocabulary=["a"], num_oov_indices=0)(["b"])
    assert layers.IntegerLookup(vocabulary=[5], num_oov_indices=3)([7, 8, 5]).tolist() == [1, 2, 3]


def test_there_and_back() -> None:
    words = ["a", "b", "c"]
    there, back = (
        layers.StringLookup(vocabulary=words),
        layers.StringLookup(vocabulary=words, invert=True),
    )
    assert back(there([["a", "z"], ["c", "b"]])).tolist() == [["a", "[UNK]"], ["c", "b"]]
    assert back([9, -3]).tolist() == ["[UNK]"] * 2


def test_adapt_ranks_by_count_then_backwards() -> None:
    layer = layers.StringLookup(max_tokens=4)
    layer.adapt(["b", "a", "a", "c", "d", "[UNK]", "d"])
    assert layer.get_vocabulary() == ["[UNK]", "d", "a", "c"]
    layer.adapt(iter([["x", "y"], ["y"]]))
    assert layer.get_vocabulary() == ["[UNK]", "y", "x"]
    again = layers.StringLookup.from_config(layer.get_config())
    assert again.get_vocabulary() == layer.get_vocabulary()
    again.adapt(["q"])
    assert again.get_vocabulary() == ["[UNK]", "q"]
    given = layers.StringLookup.from_config(layers.StringLookup(vocabulary=["a"]).get_config())
    with pytest.raises(ValueError, match="given"):
        given.adapt(["a"])


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count", "tf_idf"])
def test_rows_wait_for_a_vocabulary(mode: str) -> None:
    layer = layers.StringLookup(output_mode=mode)
    assert layer(keras.Input((1,), dtype="string")).shape == (None, None)
    with pytest.raises(RuntimeError, match="vocabulary"):
        layer([["a"]])
    again = layers.StringLookup.from_config(layer.get_config())
    again.adapt([["a"], ["b"]])
    assert again([["a"]]).shape == (1, 3)


def test_large_whole_numbers_of_a_column_stay_whole() -> None:
    column = pd.Series([2**53 + 1, 2**53])
    layer = layers.IntegerLookup(vocabulary=[2**53 + 1])
    assert layer(column).tolist() == layer(column.to_numpy()).tolist() == [1, 0]


def test_adapt_weighs_documents() -> None:
    layer = layers.StringLookup(output_mode="tf_idf")
    layer.adapt([["a", "b"], ["a", "a"], ["a", "c"]])
    weight = dict(
        zip(
            layer.get_vocabulary(),
            layer(np.array(layer.get_vocabulary())[:, None]).max(1),
            strict=True,
        )
    )
    np.testing.assert_allclose(weight["a"], np.log(1 + 3 / 4), rtol=1e-6)
    np.testing.assert_allclose(weight["b"], np.log(1 + 3 / 2), rtol=1e-6)
    again = layers.StringLookup.from_config(layer.get_config())
    np.testing.assert_array_equal(again([["a", "q", "b"]]), layer([["a", "q", "b"]]))


def test_vocabularies_come_from_files(tmp_path: Any) -> None:
    path = tmp_path / "words.txt"
    path.write_text("12\n7\n", "utf-8")
    assert layers.StringLookup(vocabulary=str(path))(["7", "x"]).tolist() == [2, 0]
    assert layers.IntegerLookup(vocabulary=str(path))([7, 8]).tolist() == [2, 0]
    with pytest.raises(ValueError, match="path"):
        layers.StringLookup.from_config({"vocabulary": str(path)})


def test_nothing_is_known_before_adapt() -> None:
    assert layers.StringLookup()(["a", "b"]).tolist() == [0, 0]
    assert layers.IntegerLookup(mask_token=0)([0, 3]).tolist() == [0, 1]


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_tokens": 1},
        {"pad_to_max_tokens": True},
        {"num_oov_indices": -1},
        {"output_mode": "many"},
        {"output_mode": "count", "invert": True},
        {"output_mode": "count", "sparse": True},
        {"idf_weights": [1.0]},
        {"output_mode": "tf_idf", "vocabulary": ["a"]},
        {"vocabulary": []},
        {"vocabulary": ["a", "a"]},
        {"vocabulary": ["a", "b"], "max_tokens": 2},
        {"vocabulary": ["a", "m"], "mask_token": "m"},
        {"vocabulary": ["a", "[UNK]"], "invert": True},
        {"salt": [1, 2, 3]},
    ],
)
def test_refusals(arguments: Any) -> None:
    with pytest.raises(ValueError):
        layers.StringLookup(**arguments)


@pytest.mark.parametrize(
    ("lookup", "dtype", "tokens"),
    [("StringLookup", "string", ["a", "b"]), ("IntegerLookup", "int64", [7, 9])],
    ids=["strings", "integers"],
)
def test_an_own_layer_may_hold_a_lookup_that_knows_all_tokens(
    lookup: str, dtype: str, tokens: list[Any]
) -> None:
    # What a layer's outputs are is found by trying it out on made-up tokens.
    class Looked(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            options = {"vocabulary": tokens, "num_oov_indices": 0, "mask_token": None}
            self.lookup = getattr(layers, lookup)(**options)
            self.table = layers.Embedding(2, 3)

        def call(self, inputs: Any) -> Any:
            return self.table(self.lookup(inputs))

    inputs = keras.Input((), dtype=dtype)
    model = keras.Model(inputs, Looked()(inputs))
    assert model.output_shape == (None, 3)
    x = np.array(tokens * 4)
    found = model.predict(x, verbose=0)
    np.testing.assert_array_equal(found[0], model.get_weights()[0][0])
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((8, 3)), verbose=0)
    for call in (model, lambda x: model.predict(x, verbose=0)):
        with pytest.raises(ValueError, match="num_oov_indices"):
            call(np.array(["c"] if dtype == "string" else [3]))


def test_weights_of_tokens_are_an_attribute() -> None:
    layer = layers.StringLookup(output_mode="tf_idf")
    assert layer.idf_weights is None
    data = np.array([["a", "b"], ["a", "c"], ["a", "b"]])
    layer.adapt(data)
    expected = np.log(1 + 3 / (1 + np.array([3, 2, 1])))
    np.testing.assert_allclose(layer.idf_weights[1:], expected, rtol=1e-6)
    with pytest.raises(ValueError, match="does not exist"):
        layers.StringLookup(vocabulary="no/such/file.txt")
