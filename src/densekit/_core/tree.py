"""Nested tuples, lists and dicts of leaves, walked in one fixed order (dicts by sorted key)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

_NESTED = (tuple, list, dict)
Path = tuple[str | int, ...]


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


def is_deep(structure: Any) -> bool:
    """Whether a structure has structures inside."""
    if not is_nested(structure):
        return False
    inner = structure.values() if isinstance(structure, dict) else structure
    return any(map(is_nested, inner))


def paths(structure: Any) -> list[Path]:
    """The way to each leaf, in flat order."""
    if not is_nested(structure):
        return [()]
    if isinstance(structure, dict):
        inner = [(key, structure[key]) for key in sorted(structure)]
    else:
        inner = list(enumerate(structure))
    return [(key, *path) for key, value in inner for path in paths(value)]


def along(structure: Any, given: Any, partial: bool = True) -> list[Any] | None:
    """What `given` says for each leaf of `structure`, in flat order; None where it does not fit.

    What is said for a part that is itself nested holds for all of that part.

    Args:
        partial: whether a dict may leave keys out.
    """
    if not is_nested(structure):
        return [given]
    if not is_nested(given):
        return [given] * len(flatten(structure))
    if isinstance(structure, dict):
        if not isinstance(given, dict) or not set(given) <= set(structure):
            return None
        if not partial and set(given) != set(structure):
            return None
        parts = [along(structure[key], given.get(key), partial) for key in sorted(structure)]
    else:
        if not isinstance(given, list | tuple) or len(given) != len(structure):
            return None
        parts = [along(s, g, partial) for s, g in zip(structure, given, strict=True)]
    found = [part for part in parts if part is not None]
    return [leaf for part in found for leaf in part] if len(found) == len(parts) else None


def path_name(path: Path, leaf: str) -> str:
    """A path as one word; a place in a list goes by the name of its leaf."""
    parts = [*path[:-1], leaf] if path and isinstance(path[-1], int) else list(path) or [leaf]
    return "/".join(map(str, parts))


def path_names(structure: object, leaves: Sequence[str]) -> list[str]:
    """`path_name` of every leaf."""
    return [path_name(path, leaf) for path, leaf in zip(paths(structure), leaves, strict=True)]
