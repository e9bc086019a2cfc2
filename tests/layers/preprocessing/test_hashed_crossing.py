"""`HashedCrossing`: buckets as Keras lists them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import densekit as keras

LETTERS = np.array(["A", "B", "A", "B", "A"])
NUMBERS = np.array([101, 101, 101, 102, 102])
BUCKETS = [1, 4, 1, 1, 3]


def crossing(bins: int = 5, **arguments: Any) -> Any:
    return keras.layers.HashedCrossing(bins, **arguments)


@pytest.mark.parametrize(
    "inputs",
    [
        (LETTERS, NUMBERS),
        [LETTERS.tolist(), NUMBERS.tolist()],
        (pd.Series(LETTERS), pd.Series(NUMBERS)),
        (LETTERS.astype("S"), NUMBERS.astype("int16")),
        (LETTERS.astype(object), NUMBERS.astype("uint8")),
    ],
)
def test_buckets(inputs: Any) -> None:
    assert crossing()(inputs).tolist() == BUCKETS
    np.testing.assert_array_equal(crossing(output_mode="one_hot")(inputs), np.eye(5)[BUCKETS])


def test_ranks() -> None:
    assert crossing(10)((np.array("A"), np.array(101))).tolist() == 1
    columns = LETTERS[:, None], NUMBERS[:, None]
    assert crossing()(columns).tolist() == [[b] for b in BUCKETS]
    assert crossing(output_mode="one_hot")(columns).shape == (5, 5)


@pytest.mark.parametrize(
    ("arguments", "dtype"),
    [
        ({}, "int64"),
        ({"dtype": "int32"}, "int32"),
        ({"output_mode": "one_hot"}, "float32"),
        ({"output_mode": "one_hot", "dtype": "float64"}, "float64"),
    ],
)
def test_dtypes(arguments: Any, dtype: str) -> None:
    assert crossing(**arguments)((LETTERS, NUMBERS)).dtype == dtype


def test_order_and_number_of_inputs_count() -> None:
    two = crossing(1000)((NUMBERS, NUMBERS + 1)).tolist()
    assert two != crossing(1000)((NUMBERS + 1, NUMBERS)).tolist()
    assert two != crossing(1000)((NUMBERS, NUMBERS + 1, NUMBERS)).tolist()


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (np.array(1), "at least two"),
        ([np.array(1)], "at least two"),
        ((np.array([[[1]]]), np.array([[[1]]])), "inputs of shape"),
        ((NUMBERS, NUMBERS[:2]), "one shape"),
        ((np.array([1.0]), np.array([1.0])), "integer or string"),
    ],
)
def test_other_inputs_are_refused(inputs: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        crossing()(inputs)


@pytest.mark.parametrize(
    "arguments", [{"bins": 0}, {"bins": 2.5}, {"sparse": True}, {"output_mode": "count"}]
)
def test_other_arguments_are_refused(arguments: Any) -> None:
    with pytest.raises(ValueError, match="HashedCrossing"):
        crossing(**arguments)
