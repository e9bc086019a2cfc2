"""What is nested as the outputs of a model are: targets, losses, metrics, weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from densekit._core import tree

Path = tuple[str | int, ...]


def is_deep(structure: Any) -> bool:
    """Whether a structure has structures inside."""
    if not tree.is_nested(structure):
        return False
    inner = structure.values() if isinstance(structure, dict) else structure
    return any(map(tree.is_nested, inner))


def paths(structure: Any) -> list[Path]:
    """The way to each leaf, in flat order."""
    if not tree.is_nested(structure):
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
    if not tree.is_nested(structure):
        return [given]
    if not tree.is_nested(given):
        return [given] * len(tree.flatten(structure))
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


def path_names(structure: Any, leaves: Sequence[str]) -> list[str]:
    """`path_name` of every leaf."""
    return [path_name(path, leaf) for path, leaf in zip(paths(structure), leaves, strict=True)]
