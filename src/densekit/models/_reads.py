"""Which attributes of a model its `call` reads: only those can change what it computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def noting_reads(model: object, names: set[str]) -> Iterator[None]:
    """Inside, the attributes of `model` that are read are added to `names`.

    Its class is another one meanwhile: reading must not cost more at all other times.
    """
    kind: Any = type(model)

    def read(self: object, name: str) -> object:
        names.add(name)
        return kind.__getattribute__(self, name)

    described = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    noting = type(kind)(kind.__name__, (kind,), {"__getattribute__": read, **described})
    object.__setattr__(model, "__class__", noting)
    try:
        yield
    finally:
        object.__setattr__(model, "__class__", kind)
