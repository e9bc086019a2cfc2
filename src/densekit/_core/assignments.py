"""Objects whose numbers plans are built from: they say when an attribute was set.

Engines keep what they were built from. Only after `count` has moved do they look whether it still
holds, so that looking costs nothing in between. The count belongs to no model: it is a hint.
"""

from __future__ import annotations

_count = 0


def count() -> int:
    """Another number after each assignment to an attribute of such an object."""
    return _count


def moved() -> None:
    """Such an object is another one."""
    global _count
    _count += 1


class CountsAssignments:
    """Base of optimizers, losses, regularizers and constraints."""

    def __setattr__(self, name: str, value: object) -> None:
        global _count
        super().__setattr__(name, value)
        _count += 1
