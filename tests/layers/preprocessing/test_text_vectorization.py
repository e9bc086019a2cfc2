"""`TextVectorization`: tokens, indices and rows as Keras lists them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import densekit as keras

TEXTS = ["foo bar", "bar baz", "baz bada boom"]
SENTENCE = "Hello, World!. This is just a nice test!"


def vectorization(**arguments: Any) -> Any:
    return keras.layers.TextVectorization(**arguments)


@pytest.mark.parametrize(
    ("arguments", "inputs", "wanted"),
    [
        (
            {"vocabulary": ["baz", "bar", "foo"], "output_sequence_length": 4},
            [["foo qux bar"], ["qux baz"]],
            [[4, 1, 3, 0], [1, 2, 0, 0]],
        ),
        (
            {"vocabulary": ["baz", "bar", "foo"], "output_sequence_length": 2},
            ["foo qux bar", "baz"],
            [[4, 1], [2, 0]],
        ),
        ({"vocabulary": ["baz"]}, ["foo baz foo", "", " baz "], [[1, 2, 1], [0, 0, 0], [2, 0, 0]]),
        (
            {"output_mode": "multi_hot", "vocabulary": ["foo", "bar", "baz"]},
            [["foo bar"], ["baz foo foo"]],
            [[0, 1, 1, 0], [0, 1, 0, 1]],
        ),
        (
            {"output_mode": "count", "vocabulary": ["foo", "bar", "baz"]},
            ["foo bar", "baz foo foo"],
            [[0, 1, 1, 0], [0, 2, 0, 1]],
        ),
        (
            {
                "output_mode": "tf_idf",
                "vocabulary": ["foo", "bar", "baz"],
                "idf_weights": [0.3, 0.5, 0.2],
            },
            ["foo bar", "baz foo foo"],
            np.array([[0.0, 0.3, 0.5, 0.0], [0.0, 0.6, 0.0, 0.2]], "float32").tolist(),
        ),
        (
            {
                "output_mode": "multi_hot",
                "vocabulary": ["foo", "bar"],
                "max_tokens": 5,
                "pad_to_max_tokens": True,
            },
            ["foo bar"],
            [[0, 1, 1, 0, 0]],
        ),
        (
            {"vocabulary": ["hello", "world", "this", "is", "nice", "test"]},
            [SENTENCE],
            [[2, 3, 4, 5, 1, 1, 6, 7]],
        ),
        (
            {
                "standardize": "lower",
                "vocabulary": ["hello,", "hello", "world", "this", "is", "nice", "test"],
            },
            [SENTENCE],
            [[2, 1, 5, 6, 1, 1, 7, 1]],
        ),
        (
            {"standardize": "strip_punctuation", "vocabulary": ["Hello", "World", "Test"]},
            ["Hello, World! Test."],
            [[2, 3, 4]],
        ),
        ({"standardize": None, "vocabulary": ["Hello", "world"]}, ["Hello hello"], [[2, 1]]),
        ({"split": "character", "vocabulary": list("abcde")}, ["abcf"], [[2, 3, 4, 1]]),
        (
            {"split": None, "vocabulary": ["foo", "bar", "baz"]},
            [["foo"], ["bar"], ["unknown"]],
            [[2], [3], [1]],
        ),
        (
            {"split": None, "vocabulary": ["a", "b"], "output_mode": "multi_hot"},
            ["a", "b"],
            [[0, 1, 0], [0, 0, 1]],
        ),
        ({"vocabulary": ["a", "b"]}, "b a", [3, 2]),
        ({"vocabulary": ["a"]}, [b"a A", b"x"], [[2, 2], [1, 0]]),
        ({"vocabulary": ["é", "É"]}, ["é É É\u00a0é"], [[2, 3, 1]]),  # ASCII alone, as TensorFlow
    ],
)
def test_outputs(arguments: Any, inputs: Any, wanted: Any) -> None:
    assert vectorization(**arguments)(inputs).tolist() == wanted


@pytest.mark.parametrize(
    "data",
    [
        TEXTS,
        np.array(TEXTS),
        np.array(TEXTS)[:, None],
        pd.Series(TEXTS),
        pd.DataFrame({"text": TEXTS}),
        iter([TEXTS[:2], TEXTS[2:]]),
        [[text] for text in TEXTS],
    ],
)
def test_adapt_takes_texts_as_anything(data: Any) -> None:
    layer = vectorization()
    layer.adapt(data)
    assert layer.get_vocabulary() == ["", "[UNK]", "baz", "bar", "foo", "boom", "bada"]
    assert layer.get_vocabulary(include_special_tokens=False)[0] == "baz"
    assert layer.vocabulary_size() == 7


def test_adapt_stops_after_steps() -> None:
    layer = vectorization()
    layer.adapt(iter([["a"], ["b"], ["c"]]), steps=2)
    assert layer.get_vocabulary() == ["", "[UNK]", "b", "a"]


def test_most_frequent_tokens_are_kept() -> None:
    layer = vectorization(max_tokens=4)
    layer.adapt(["a b c", "c b", "c"])
    assert layer.get_vocabulary() == ["", "[UNK]", "c", "b"]


@pytest.mark.parametrize(
    ("ngrams", "tokens"),
    [
        (2, {"foo", "bar", "baz", "foo bar", "bar baz"}),
        ((1, 3), {"foo", "bar", "baz", "foo bar baz"}),
        ((3,), {"foo bar baz"}),
    ],
)
def test_ngrams(ngrams: Any, tokens: Any) -> None:
    layer = vectorization(ngrams=ngrams)
    layer.adapt(["foo bar baz"])
    assert set(layer.get_vocabulary(False)) == tokens
    assert layer(["qux"]).tolist() == ([[1]] if ngrams != (3,) else [[]])
    again = type(layer).from_config(layer.get_config())
    assert again(["foo bar baz"]).tolist() == layer(["foo bar baz"]).tolist()


def test_document_frequencies_are_learnt() -> None:
    layer = vectorization(output_mode="tf_idf")
    layer.adapt(["a a b", "a", "c"])
    weight = dict(zip(layer.get_vocabulary(), layer([" ".join("abcz")])[0].tolist(), strict=True))
    assert weight["a"] == pytest.approx(np.log(1 + 3 / 3))
    assert weight["b"] == weight["c"] == pytest.approx(np.log(1 + 3 / 2))
    assert weight["[UNK]"] == pytest.approx(np.mean([weight[token] for token in "abc"]))


@keras.saving.register_keras_serializable("vectorization")
def dashes_out(texts: Any) -> Any:
    assert type(texts) is np.ndarray and texts.dtype.kind == "U"
    return np.char.replace(texts, "-", " ")


@keras.saving.register_keras_serializable("vectorization")
def at_bars(texts: Any) -> Any:
    assert texts.ndim == 1
    return [text.split("|") for text in texts]


def test_functions_of_users() -> None:
    layer = vectorization(standardize=dashes_out, split=at_bars, vocabulary=["a b", "c"])
    config = keras.saving.serialize_keras_object(layer)
    for one in (
        layer,
        type(layer).from_config(layer.get_config()),
        keras.saving.deserialize_keras_object(config),
    ):
        assert one([["a-b|c"], ["c"]]).tolist() == [[2, 3], [3, 0]]
    with pytest.raises(ValueError, match="one string for each"):
        vectorization(standardize=lambda texts: texts[:1])(["a", "b"])
    with pytest.raises(ValueError, match="tokens for each"):
        vectorization(split=lambda texts: [["a"]])(["a", "b"])


@pytest.mark.parametrize(
    "arguments",
    [
        {"standardize": "upper"},
        {"split": "lines"},
        {"ngrams": "two"},
        {"ngrams": (1.5,)},
        {"output_mode": "float"},
        {"output_mode": "multi_hot", "output_sequence_length": 5},
        {"output_sequence_length": 2.5},
        {"ragged": True},
        {"sparse": True},
    ],
)
def test_other_arguments_are_refused(arguments: Any) -> None:
    with pytest.raises(ValueError, match=r"TextVectorization|StringLookup"):
        vectorization(**arguments)


def test_other_inputs_are_refused() -> None:
    layer = vectorization(vocabulary=["a"])
    with pytest.raises(ValueError, match="strings"):
        layer(np.array([1, 2]))
    with pytest.raises(ValueError, match="last one of size 1"):
        layer(np.array([["a", "b"]]))
    with pytest.raises(ValueError, match="given"):
        layer.adapt(["b"])
    with pytest.raises(ValueError, match="path"):
        type(layer).from_config({**layer.get_config(), "vocabulary": "words.txt"})


def test_vocabulary_from_a_file(tmp_path: Any) -> None:
    path = tmp_path / "words.txt"
    path.write_text("foo\nbar\nbaz\n")
    layer = vectorization(vocabulary=str(path))
    assert layer(["foo bar baz unknown"]).tolist() == [[2, 3, 4, 1]]
