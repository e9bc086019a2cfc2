"""Nested tuples, lists, deques and dicts of leaves, walked in one fixed order.

Dicts go by sorted key, an `OrderedDict`, and one whose keys cannot be sorted, in its own order.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

_NESTED = (tuple, list, dict, deque)
Path = tuple[str | int, ...]


def is_nested(structure: object) -> bool:
    """Whether `structure` is a tuple, list, dict or deque."""
    return isinstance(structure, _NESTED)


def keys(structure: dict[Any, object]) -> list[Any]:
    """The keys of a dict in the order in which its leaves go."""
    if isinstance(structure, OrderedDict):
        return list(structure)
    try:
        return sorted(structure)
    except TypeError:
        return list(structure)


def children(structure: Any) -> list[Any]:
    """What lies directly inside, in order."""
    if isinstance(structure, dict):
        return [structure[key] for key in keys(structure)]
    return list(structure)


def with_children(structure: Any, parts: Iterable[Any]) -> Any:
    """A structure of the same kind with other parts, in the order of `children`."""
    if isinstance(structure, dict):
        parts = dict(zip(keys(structure), parts, strict=True))
        made = {key: parts[key] for key in structure}
        if isinstance(structure, defaultdict):
            return defaultdict(structure.default_factory, made)
        return OrderedDict(made) if isinstance(structure, OrderedDict) else made
    if type(structure) is list:
        return list(parts)
    if hasattr(structure, "_fields"):  # a namedtuple
        return type(structure)(*parts)
    if isinstance(structure, deque):
        return deque(parts, structure.maxlen)
    return type(structure)(parts)


def in_order(structure: Any) -> Any:
    """The same, with the keys of its dicts in the order in which their leaves go."""
    if not isinstance(structure, _NESTED):
        return structure
    if type(structure) is dict:
        structure = {key: structure[key] for key in keys(structure)}
    return with_children(structure, map(in_order, children(structure)))


def flatten(structure: object) -> list[Any]:
    """The leaves in order: ``flatten({"b": 1, "a": [2, 3]}) == [2, 3, 1]``."""
    if not isinstance(structure, _NESTED):
        return [structure]
    leaves: list[Any] = []
    for child in children(structure):
        if isinstance(child, _NESTED):
            leaves += flatten(child)
        else:
            leaves.append(child)
    return leaves


def pack_as(structure: object, leaves: Iterable[object]) -> Any:
    """A structure like `structure` with its leaves replaced, in order."""
    return _pack(structure, iter(leaves))


def _pack(structure: object, leaves: Iterator[object]) -> Any:
    if isinstance(structure, _NESTED):
        parts = [
            _pack(child, leaves) if isinstance(child, _NESTED) else next(leaves)
            for child in children(structure)
        ]
        return parts if type(structure) is list else with_children(structure, parts)
    return next(leaves)


def map_structure(function: Callable[..., Any], *structures: object) -> Any:
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
        inner = [(key, structure[key]) for key in keys(structure)]
    else:
        inner = list(enumerate(structure))
    return [(key, *path) for key, value in inner for path in paths(value)]


def along(structure: Any, given: object, partial: bool = True) -> list[Any] | None:
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
        parts = [along(structure[key], given.get(key), partial) for key in keys(structure)]
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
