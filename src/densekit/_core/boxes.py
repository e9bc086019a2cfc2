"""Boxes of `autograd`: values whose computation is recorded. What is inside, without an import."""

from __future__ import annotations

from typing import Any, Protocol, TypeGuard

BOXES: set[type] = set()  # their types, once gradients are in use
DEFERRED: set[type] = set()  # those of values that may wait to be computed: `ops/_deferred.py`


def unboxed(value: Any) -> Any:
    """The array inside a box, however many gradients it is recorded for; else the value itself."""
    while type(value) in BOXES:
        value = value._value
    return value


class Box(Protocol):
    """A value that is recorded in a trace, and the node that says how it was made."""

    _value: Any
    _trace: int
    _node: Any


def is_box(value: object) -> TypeGuard[Box]:
    """Whether a value is recorded."""
    return type(value) in BOXES
