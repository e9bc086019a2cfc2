"""Nested tuples, lists and dicts: walking them, comparing them, building them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from densekit._core.errors import describe, message
from densekit._core.frames import warn
from densekit._core.rooms import answers_for_absent as _answers_for_absent
from densekit._core.tree import children, keys, pack_as, with_children
from densekit._core.tree import flatten as flatten
from densekit._core.tree import is_nested as is_nested

MAP_TO_NONE = object()  # returned by a function of `traverse`: put None there


def flatten_with_path(structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """``(path, leaf)`` pairs: ``{"a": [5]} -> [(("a", 0), 5)]``."""
    if not is_nested(structure):
        return [((), structure)]
    items = (
        ((key, structure[key]) for key in keys(structure))
        if isinstance(structure, dict)
        else enumerate(structure)
    )
    return [((key, *path), leaf) for key, child in items for path, leaf in flatten_with_path(child)]


def pack_sequence_as(structure: Any, flat_sequence: Iterable[Any]) -> Any:
    """A structure like `structure` with the leaves of `flat_sequence`.

    Raises:
        ValueError: if the number of leaves differs.
    """
    leaves, places = list(flat_sequence), len(flatten(structure))
    if len(leaves) != places:
        raise ValueError(
            message("pack_sequence_as", f"{places} leaves", f"{len(leaves)}", "Pass one per place.")
        )
    return pack_as(structure, leaves)


def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """Apply `func` leaf by leaf to structures of the same kind.

    Args:
        func: takes a leaf of each structure.
        *structures: one or more.
        none_is_leaf: whether `func` is called for None, too. Default: ``True``.

    Raises:
        TypeError: if `func` cannot be called.
        ValueError: without structures, or if they differ in more than their leaves.
    """
    if not callable(func):
        raise TypeError(message("map_structure", "a function", describe(func), "Pass it first."))
    if not structures:
        raise ValueError(message("map_structure", "a structure", "none", "Pass one or more."))
    for other in structures[1:]:
        assert_same_structure(structures[0], other)
    found = [
        func(*leaves) if none_is_leaf or leaves[0] is not None else None
        for leaves in zip(*map(flatten, structures), strict=True)
    ]
    return pack_as(structures[0], found)


def assert_same_structure(a: Any, b: Any, check_types: bool | None = None) -> None:
    """Raise ValueError unless two structures differ in leaves only.

    Kinds of dicts are the same. `check_types` says nothing any more: see `assert_same_paths`.
    """
    if check_types is not None:
        warn(
            "assert_same_structure: `check_types` has no effect; `assert_same_paths` tells no list "
            "from a tuple.",
            DeprecationWarning,
        )
    dicts = isinstance(a, dict) and isinstance(b, dict)
    if is_nested(a) != is_nested(b) or (is_nested(a) and type(a) is not type(b) and not dicts):
        raise _differ(a, b)
    if isinstance(a, dict):
        if a.keys() != b.keys():
            raise _differ(a, b)
        a, b = [a[key] for key in keys(a)], [b[key] for key in keys(a)]
    if is_nested(a):
        if len(a) != len(b):
            raise _differ(a, b)
        for left, right in zip(a, b, strict=True):
            assert_same_structure(left, right)


def assert_same_paths(a: object, b: object) -> None:
    """Raise ValueError unless two structures have leaves in the same places."""
    if {path for path, _ in flatten_with_path(a)} != {path for path, _ in flatten_with_path(b)}:
        raise _differ(a, b)


def _differ(a: object, b: object) -> ValueError:
    return ValueError(
        message("tree", f"a structure like {describe(a)}", describe(b), "Nest both the same way.")
    )


def lists_to_tuples(structure: Any) -> Any:
    """`structure` with every list replaced by a tuple."""
    if isinstance(structure, list | tuple):
        items = [lists_to_tuples(child) for child in structure]
        return type(structure)(*items) if hasattr(structure, "_fields") else tuple(items)
    if isinstance(structure, dict):
        return {key: lists_to_tuples(child) for key, child in structure.items()}
    return structure


def map_structure_up_to(shallow_structure: Any, func: Callable[..., Any], *structures: Any) -> Any:
    """Apply `func` to what stands in the places of the leaves of `shallow_structure`."""
    shallow = shallow_structure
    if not is_nested(shallow):
        return func(*structures)
    places = keys(shallow) if isinstance(shallow, dict) else range(len(shallow))
    parts = [map_structure_up_to(shallow[i], func, *(s[i] for s in structures)) for i in places]
    return with_children(shallow, parts)


def map_shape_structure(func: Callable[[Any], Any], structure: Any) -> Any:
    """Apply `func` to each shape, a tuple or list of ints and None, of a structure of shapes.

    What is neither a structure nor a shape is handed to `func`, too.
    """
    shape = isinstance(structure, list | tuple) and all(
        n is None or isinstance(n, int) for n in structure
    )
    if shape or not is_nested(structure):
        return func(structure)
    return with_children(structure, [map_shape_structure(func, c) for c in children(structure)])


def traverse(func: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """Replace parts, from the top down or leaves first: `func` gives the new part, None to go on.

    `MAP_TO_NONE` stands for None as a new part.
    """
    if top_down:
        new = func(structure)
        if new is not None:
            return None if new is MAP_TO_NONE else new
    if is_nested(structure):
        parts = [traverse(func, child, top_down) for child in children(structure)]
        structure = with_children(structure, parts)
    if not top_down:
        new = func(structure)
        if new is not None:
            return None if new is MAP_TO_NONE else new
    return structure


if not TYPE_CHECKING:
    __getattr__ = _answers_for_absent(__name__)
