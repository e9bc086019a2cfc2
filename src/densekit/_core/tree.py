"""Nested tuples, lists and dicts of leaves, walked in one fixed order (dicts by sorted key)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

_NESTED = (tuple, list, dict)


def is_nested(structure: object) -> bool:
    """Whether `structure` is a tuple, list or dict."""
    return isinstance(structure, _NESTED)


def _children(structure: Any) -> Iterable[Any]:
    if isinstance(structure, dict):
        return [structure[key] for key in sorted(structure)]
    return list(structure)


def flatten(structure: Any) -> list[Any]:
    """The leaves in order: ``flatten({"b": 1, "a": [2, 3]}) == [2, 3, 1]``."""
    if not isinstance(structure, _NESTED):
        return [structure]
    leaves: list[Any] = []
    for child in _children(structure):
        if isinstance(child, _NESTED):
            leaves += flatten(child)
        else:
            leaves.append(child)
    return leaves


def pack_as(structure: Any, leaves: Iterable[Any]) -> Any:
    """A structure like `structure` with its leaves replaced, in order."""
    return _pack(structure, iter(leaves))


def _pack(structure: Any, leaves: Iterator[Any]) -> Any:
    if isinstance(structure, dict):
        packed = {key: _pack(structure[key], leaves) for key in sorted(structure)}
        return {key: packed[key] for key in structure}
    if isinstance(structure, _NESTED):
        items = [
            _pack(child, leaves) if isinstance(child, _NESTED) else next(leaves)
            for child in structure
        ]
        if type(structure) is list:
            return items
        if hasattr(structure, "_fields"):  # a namedtuple
            return type(structure)(*items)
        return type(structure)(items)
    return next(leaves)


def map_structure(function: Callable[..., Any], *structures: Any) -> Any:
    """Apply `function` leaf by leaf to structures of the same shape."""
    flat = [flatten(s) for s in structures]
    return pack_as(structures[0], [function(*leaves) for leaves in zip(*flat, strict=True)])
