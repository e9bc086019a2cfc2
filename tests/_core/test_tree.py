"""Structures of every kind are walked, rebuilt and compared."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque, namedtuple
from typing import Any

import pytest

from densekit import tree

Point = namedtuple("Point", ["x", "y"])
COUNTS: defaultdict[str, Any] = defaultdict(int, {"b": 1, "a": 2})
STRUCTURES = [
    ({"b": 1, "a": [2, 3]}, [2, 3, 1]),
    (OrderedDict([("b", 1), ("a", (2,))]), [1, 2]),
    (COUNTS, [2, 1]),
    ({1: "x", "one": "y"}, ["x", "y"]),
    (deque([1, [2, 3]], maxlen=4), [1, 2, 3]),
    (Point(1, {"z": 2}), [1, 2]),
    ((), []),
    (deque(), []),
]


@pytest.mark.parametrize(("structure", "leaves"), STRUCTURES)
def test_a_structure_is_rebuilt_in_kind(structure: Any, leaves: list[Any]) -> None:
    assert tree.is_nested(structure)
    assert tree.flatten(structure) == leaves
    assert [leaf for _, leaf in tree.flatten_with_path(structure)] == leaves
    for copy in (
        tree.pack_sequence_as(structure, leaves),
        tree.map_structure(lambda x: x, structure),
        tree.map_structure_up_to(structure, lambda x: x, structure),
        tree.traverse(lambda x: None, structure),
        tree.traverse(lambda x: None, structure, top_down=False),
    ):
        assert type(copy) is type(structure)
        assert copy == structure
        assert list(copy) == list(structure)
        assert getattr(copy, "maxlen", None) == getattr(structure, "maxlen", None)
        assert getattr(copy, "default_factory", None) is getattr(structure, "default_factory", None)
    tree.assert_same_structure(structure, tree.map_structure(str, structure))


def test_paths_are_compared_whatever_their_order() -> None:
    tree.assert_same_paths(OrderedDict(b=1, a=2), OrderedDict(a=3, b=4))
    with pytest.raises(ValueError, match="Nest both the same way"):
        tree.assert_same_paths({"a": 1}, {"b": 1})


def test_a_function_of_shapes_is_given_what_is_no_shape_too() -> None:
    seen: list[Any] = []
    result = tree.map_shape_structure(seen.append, {"b": (5,), "a": [1, None], "c": "hi"})
    assert seen == [[1, None], (5,), "hi"]
    assert result == {"a": None, "b": None, "c": None}
