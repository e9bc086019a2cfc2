"""Every built-in component: it has samples, its config comes back, identifiers find it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from densekit._core.naming import to_snake_case
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object

from . import samples


def room_of(room: str) -> Any:
    return importlib.import_module(f"densekit.{room}")


def everything() -> Iterator[tuple[str, str]]:
    for room in samples.ROOMS:
        room_of(room)
        for name in samples.components(room):
            yield room, name


def objects() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every class with every set of sample arguments."""
    for room, name in everything():
        table = getattr(samples, room.upper())
        if isinstance(samples.components(room)[name], type):
            for entry in table.get(name, []):
                yield room, name, getattr(entry, "arguments", entry)


def create(room: str, name: str, arguments: dict[str, Any]) -> Any:
    return samples.components(room)[name](**arguments)


ALL = list(everything())
OBJECTS = list(objects())


@pytest.mark.parametrize(("room", "name"), ALL)
def test_has_samples(room: str, name: str) -> None:
    known = {*getattr(samples, room.upper()), *(samples.LOSS_FUNCTIONS if room == "losses" else ())}
    assert name in known, samples.missing_entry(room, name)


def test_a_component_without_samples_is_told_what_to_do() -> None:
    assert "NewLoss has no entry in tests/contracts/samples.py" in samples.missing_entry(
        "losses", "NewLoss"
    )


@pytest.mark.parametrize("room", samples.ROOMS)
def test_every_sample_has_a_component(room: str) -> None:
    assert set(getattr(samples, room.upper())) <= set(samples.components(room))


@pytest.mark.parametrize(("room", "name"), ALL)
def test_is_reachable_by_its_name(room: str, name: str) -> None:
    assert getattr(room_of(room), name) is samples.components(room)[name]


@pytest.mark.parametrize(("room", "name", "arguments"), OBJECTS)
def test_from_config_returns_the_config(room: str, name: str, arguments: dict[str, Any]) -> None:
    original = create(room, name, arguments)
    config = original.get_config()
    assert arguments.keys() <= config.keys()
    revived = type(original).from_config(json.loads(json.dumps(config)))
    assert type(revived) is type(original)
    assert revived.get_config() == config


@pytest.mark.parametrize(("room", "name", "arguments"), OBJECTS)
def test_serialized_comes_back(room: str, name: str, arguments: dict[str, Any]) -> None:
    original = create(room, name, arguments)
    data = room_of(room).serialize(original)
    assert data == serialize_keras_object(original)
    assert (data["module"], data["class_name"]) == (f"keras.{room}", name)
    for revive in (room_of(room).deserialize, room_of(room).get, deserialize_keras_object):
        assert serialize_keras_object(revive(json.loads(json.dumps(data)))) == data


@pytest.mark.parametrize(("room", "name"), ALL)
def test_functions_serialize_by_name(room: str, name: str) -> None:
    component, lookup = samples.components(room)[name], room_of(room)
    if isinstance(component, type):
        return
    data = lookup.serialize(component)
    assert data == name or data["config"] == name
    assert lookup.deserialize(data) is component
    assert lookup.get(data) is component


@pytest.mark.parametrize(("room", "name"), ALL)
def test_identifiers(room: str, name: str) -> None:
    component, lookup = samples.components(room)[name], room_of(room)
    if not isinstance(component, type):
        assert lookup.get(name) is component
        assert lookup.get(component) is component
        return
    for arguments in [entry for r, n, entry in OBJECTS if (r, n) == (room, name)]:
        instance = component(**arguments)
        assert lookup.get(instance) is instance
        if not arguments:
            assert type(lookup.get(name)) is component
            assert type(lookup.get(component)) is component
            assert type(lookup.get({"class_name": name, "config": {}})) is component
            if room not in ("losses", "activations"):
                assert type(lookup.get(to_snake_case(name))) is component


@pytest.mark.parametrize("room", samples.ROOMS)
def test_identifiers_of_users(room: str) -> None:
    get = room_of(room).get

    def function(*arrays: Any) -> Any:
        return arrays[0]

    class Callable:
        def __call__(self, *arrays: Any) -> Any:
            return arrays[0]

    instance = Callable()
    assert get(function) is function
    assert get(instance) is instance
    assert isinstance(get(Callable), Callable)
    assert get(None) is (room_of(room).linear if room == "activations" else None)
    for nothing in ("no_such_name", 3):
        with pytest.raises(ValueError, match=r"expected a known name.*got.*Known names: "):
            get(nothing)


@pytest.mark.parametrize(
    ("name", "arguments"), [(name, a) for room, name, a in OBJECTS if room == "initializers"]
)
def test_initializers_give_the_shape_and_type_asked_for(
    name: str, arguments: dict[str, Any]
) -> None:
    initializer = create("initializers", name, arguments)
    for dtype in ("float32", "float64", "float16", None):
        first, second = initializer((3, 4), dtype=dtype), initializer([3, 4], dtype=dtype)
        assert isinstance(first, np.ndarray)
        assert first.shape == (3, 4)
        assert first.dtype == (dtype or "float32")
        assert np.array_equal(first, second), "an instance must repeat itself"
