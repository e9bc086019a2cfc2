"""The order in which Keras visits the attributes of an object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def attribute_children(obj: Any, skip: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """Attributes outside `skip` in the order in which Keras visits them."""
    for name in sorted(dir(obj), key=lambda n: f"~{n}" if n.startswith("_") else n):
        if name.startswith("__") or name in skip:
            continue
        try:
            yield name, getattr(obj, name)
        except Exception:  # a property that is not available yet holds no state
            continue
