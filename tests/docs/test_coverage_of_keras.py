"""The page on coverage names what is there, and groups what is not by its reason."""

from __future__ import annotations

import types
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("scripts/coverage_of_keras.py")


def test_every_absent_name_has_a_reason(script: Any) -> None:
    text, unexplained = script.page()
    assert unexplained == []
    assert "`keras.losses`" in text and "`ctc`" in text


def test_a_name_without_reason_is_found(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "reason", lambda room, name: "")
    assert "`keras.losses`: CTC" in script.page()[1]


def test_a_room_inherits_the_reason_of_the_room_around_it(script: Any) -> None:
    assert "convolutions" in script.why_absent("applications.resnet")
    assert script.why_absent("nowhere") == ""


def test_sections(script: Any) -> None:
    assert script.section("Room", ["a", "b"], {"not yet": ["d", "c"]}) == [
        "## Room: 2 of 4",
        "",
        "`a`, `b`",
        "",
        "- Absent, not yet: `c`, `d`",
        "",
    ]


def test_private_and_foreign_modules_are_no_rooms(script: Any) -> None:
    top = types.ModuleType("keras")
    for name in ("keras.a", "keras._b", "numpy"):
        setattr(top, name.rpartition(".")[2], types.ModuleType(name))
    assert [path for path, _ in script.rooms(top)] == ["", "a"]
