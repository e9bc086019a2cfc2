"""Who says how a layer or an op is lowered that does not say it itself.

A layer's own `lower` comes first. Rooms outside of `layers` register the rest by type: the ops of
functional graphs here, quantized or low-rank layers in theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

# (plan, operation, args, kwargs), handles in place of symbolic tensors -> its output handles.
Lowering = Callable[..., Any]
L = TypeVar("L", bound=Lowering)

_by_type: dict[type, Lowering] = {}


def lowers(*types: type) -> Callable[[L], L]:
    """Register a function as the native form of operations of exactly these types."""

    def register(lowering: L) -> L:
        for kind in types:
            _by_type[kind] = lowering
        return lowering

    return register


def lowering_for(kind: type) -> Lowering | None:
    """How operations of exactly this type are lowered: a subclass may have changed the formula."""
    return _by_type.get(kind)
