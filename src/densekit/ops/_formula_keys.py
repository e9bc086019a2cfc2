"""What tells the settings and indices of noted ops from one another."""

from __future__ import annotations

_SETTINGS = frozenset({bool, int, float, str, type(None)})


def setting(value: object) -> object:
    """What tells one setting of an op from another: 1, 1.0 and True are not the same; else None."""
    kind = type(value)
    if type(value) is tuple:
        return value if all(type(item) is int for item in value) else None
    return (kind, value or repr(value)) if kind in _SETTINGS else None


def index_token(index: object) -> object:
    """What tells one index from another; None for an index that is computed."""
    if type(index) is tuple:
        parts = tuple(map(index_token, index))
        return None if None in parts else parts
    if type(index) is slice:
        bounds = index.start, index.stop, index.step
        return ("slice", *bounds) if all(type(b) in (int, type(None)) for b in bounds) else None
    if index is None or index is Ellipsis:
        return ("axis", str(index))
    return ("at", index) if type(index) is int else None
