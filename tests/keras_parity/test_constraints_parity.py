"""Constraints against Keras: names, signatures, configs. Values: tests/contracts."""

from __future__ import annotations

import inspect

import keras
import pytest

from densekit import constraints

NAMES = [n for n in dir(keras.constraints) if not n.startswith("_")]
CLASSES = ["Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"]


def test_no_name_is_missing() -> None:
    assert [n for n in NAMES if not hasattr(constraints, n)] == []


@pytest.mark.parametrize("name", CLASSES)
def test_signature(name: str) -> None:
    ours = inspect.signature(getattr(constraints, name)).parameters
    theirs = inspect.signature(getattr(keras.constraints, name)).parameters
    assert [(p.name, p.default) for p in ours.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]


@pytest.mark.parametrize("name", CLASSES)
def test_config_is_the_same_and_read_by_keras(name: str) -> None:
    data = constraints.serialize(getattr(constraints, name)())
    assert data == keras.constraints.serialize(getattr(keras.constraints, name)())
    assert type(keras.constraints.deserialize(data)).__name__ == name


@pytest.mark.parametrize("string", sorted(keras.src.constraints.ALL_OBJECTS_DICT))
def test_strings(string: str) -> None:
    theirs = keras.constraints.get(string)
    assert type(constraints.get(string)).__name__ == type(theirs).__name__
