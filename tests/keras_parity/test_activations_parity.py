"""Activations against Keras: names, signatures, configs, errors. Values: tests/contracts."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import pytest

from densekit import activations

NAMES = [n for n in dir(keras.activations) if not n.startswith("_")]
FUNCTIONS = [n for n in NAMES if n not in ("get", "serialize", "deserialize")]


def test_no_name_is_missing() -> None:
    assert [n for n in NAMES if not hasattr(activations, n)] == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signature(name: str) -> None:
    ours = inspect.signature(getattr(activations, name)).parameters
    theirs = inspect.signature(getattr(keras.activations, name)).parameters
    assert [(p.name, p.default) for p in ours.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_serialized(name: str) -> None:
    ours = activations.serialize(getattr(activations, name))
    assert ours == keras.activations.serialize(getattr(keras.activations, name))


def own(x: Any) -> Any:
    return x


def test_custom_function_serialized() -> None:
    assert activations.serialize(own) == keras.activations.serialize(own)


@pytest.mark.parametrize("identifier", ["nope", 3, {"class_name": "Nope", "config": {}}])
def test_error_types(identifier: Any) -> None:
    with pytest.raises((ValueError, TypeError)) as theirs:
        keras.activations.get(identifier)
    with pytest.raises(theirs.type):
        activations.get(identifier)
