"""Outputs in the structure that a call of the model gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from densekit._core import tree


def unwraps(structure: object) -> bool:
    """Whether a model whose outputs are this structure gives the one array in it."""
    return (
        isinstance(structure, list | tuple)
        and len(structure) == 1
        and not tree.is_nested(structure[0])
    )


def pack_outputs(structure: object, arrays: Sequence[object]) -> Any:
    """Outputs in the structure that a call of the model gives."""
    return arrays[0] if unwraps(structure) else tree.pack_as(structure, arrays)
