"""Inputs that may be None: no plan computes without one."""

from __future__ import annotations

from collections.abc import Sequence

from densekit import engines
from densekit._core.plan import NotLowerable


def lack_one(inputs: Sequence[object]) -> bool:
    """Whether one is None."""
    return any(engines.is_missing(column) for column in inputs)


def refuse_missing(inputs: Sequence[object]) -> None:
    """A plan computes with every input.

    Raises:
        NotLowerable: if an optional input was given as None.
    """
    if lack_one(inputs):
        raise NotLowerable("an optional input is None")
