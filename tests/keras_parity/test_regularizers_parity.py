"""Regularizers against Keras: names, signatures, configs, errors. Values: tests/contracts."""

from __future__ import annotations

import inspect
import math
from typing import Any

import keras
import numpy as np
import pytest

from densekit import regularizers

NAMES = [n for n in dir(keras.regularizers) if not n.startswith("_")]
CLASSES = ["L1", "L2", "L1L2", "OrthogonalRegularizer"]


def test_no_name_is_missing() -> None:
    assert [n for n in NAMES if not hasattr(regularizers, n)] == []


@pytest.mark.parametrize("name", CLASSES)
def test_signature(name: str) -> None:
    ours = inspect.signature(getattr(regularizers, name)).parameters
    theirs = inspect.signature(getattr(keras.regularizers, name)).parameters
    assert [(p.name, p.default) for p in ours.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]


@pytest.mark.parametrize("name", CLASSES)
def test_config_is_read_by_keras(name: str) -> None:
    ours = regularizers.serialize(getattr(regularizers, name)())
    theirs = keras.regularizers.serialize(getattr(keras.regularizers, name)())
    rounded = {k: np.float32(v) if isinstance(v, float) else v for k, v in ours["config"].items()}
    for key, value in theirs["config"].items():  # Keras keeps some factors as float32
        assert rounded[key] == (np.float32(value) if isinstance(value, float) else value)
    assert {**ours, "config": None} == {**theirs, "config": None}
    assert type(keras.regularizers.deserialize(ours)).__name__ == name


@pytest.mark.parametrize("string", sorted(keras.src.regularizers.ALL_OBJECTS_DICT))
def test_strings(string: str) -> None:
    theirs = keras.regularizers.get(string)
    assert type(regularizers.get(string)).__name__ == type(theirs).__name__


@pytest.mark.parametrize("factor", [-1.0, math.nan, math.inf, "0.1"])
@pytest.mark.parametrize(("name", "argument"), [("L1", "l1"), ("L2", "l2"), ("L1L2", "l2")])
def test_error_types(name: str, argument: str, factor: Any) -> None:
    for room in (keras.regularizers, regularizers):
        with pytest.raises((ValueError, TypeError) if isinstance(factor, str) else ValueError):
            getattr(room, name)(**{argument: factor})


def test_l1_l2_string_works_here() -> None:
    with pytest.raises(ValueError):
        keras.regularizers.get("l1_l2")
    assert type(regularizers.get("l1_l2")) is regularizers.L1L2
