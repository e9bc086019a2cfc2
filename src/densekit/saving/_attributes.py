"""The order in which Keras visits the attributes of an object."""

from __future__ import annotations

from collections.abc import Iterator


def attribute_children(obj: object, skip: frozenset[str]) -> Iterator[tuple[str, object]]:
    """Attributes outside `skip` in the order in which Keras visits them.

    Files name ours without the prefix that keeps them apart from users' attributes.
    """
    present = set(dir(obj))
    named = [(_in_files(name, present), name) for name in present]
    for shown, name in sorted(named, key=lambda n: f"~{n[0]}" if n[0].startswith("_") else n[0]):
        if name.startswith("__") or name in skip:
            continue
        try:
            yield shown, getattr(obj, name)
        except Exception:  # a property that is not available yet holds no state
            continue


def _in_files(name: str, present: set[str]) -> str:
    short = name.removeprefix("_dk")
    return name if short in present else short
