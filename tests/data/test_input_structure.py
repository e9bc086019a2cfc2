"""Inputs in another structure than a model's are read the one way that is meant, or refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit.data._input_structure import in_structure

A, B = np.ones((4, 2), "float32"), np.full((4, 3), 2.0, "float32")
Y = np.ones((4, 1), "float32")


def model(*names: str) -> keras.Model:
    sizes = dict(zip(names, (2, 3), strict=True))
    inputs = {name: keras.Input((size,), name=name) for name, size in sizes.items()}
    outputs = keras.layers.Dense(1)(keras.layers.Concatenate()(list(inputs.values())))
    made = keras.Model(inputs, outputs)
    made.compile("sgd", "mse")
    return made


CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "call": lambda m, x: m(x),
    "fit": lambda m, x: m.fit(x, Y, verbose=0),
    "predict": lambda m, x: m.predict(x, verbose=0),
    "train_on_batch": lambda m, x: m.train_on_batch(x, Y),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_a_list_for_a_dict_is_read_in_the_order_of_its_sorted_keys(call) -> None:
    with pytest.warns(UserWarning, match=r"\['a', 'b'\] are taken by position"):
        call(model("a", "b"), [A, B])


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_a_list_for_a_dict_of_unsorted_keys_is_refused(call) -> None:
    with pytest.raises(ValueError, match="not sorted"):
        call(model("b", "a"), [A, B])


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_a_surplus_key_is_said(call) -> None:
    with pytest.warns(UserWarning, match=r"no input takes \['c'\]"):
        call(model("a", "b"), {"c": A, "b": B, "a": A})


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_a_missing_key_is_refused(call) -> None:
    with pytest.raises(ValueError, match="Missing data for input 'b'"):
        call(model("a", "b"), {"a": A})


def test_what_can_be_read_one_way_is_read_quietly() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert in_structure({"b": 1, "a": 2, "c": 3}, [0, 0], ["a", "b"], "m") == [2, 1]
        assert in_structure({"b": 1, "a": 2}, {"a": 0, "b": 0}, ["a", "b"], "m") == {"a": 2, "b": 1}
        assert in_structure([1], {"a": 0}, ["a"], "m") == [1]
        assert in_structure([1, 2], [0, 0], ["a", "b"], "m") == [1, 2]


def test_no_array_is_printed() -> None:
    with pytest.raises(ValueError, match=r"got a list of 2, among them ndarray of shape \(4, 2\)"):
        model("b", "a")([A, B])
