"""How much memory a file may make the process ask for while a model is made from it.

A config of a few bytes can claim weights, thresholds or trial arrays of terabytes. Whoever
allocates by a number that may come from a file asks here first; outside of loading all is granted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from densekit._core.errors import message

# Bytes that may still be asked for, in a list of one; None: no limit.
_left: ContextVar[list[int] | None] = ContextVar("densekit_allowance", default=None)


@contextmanager
def allowance(size: int | None) -> Iterator[None]:
    """Inside, no more than `size` bytes are granted in all; None leaves things as they are."""
    if size is None:
        yield
        return
    token = _left.set([size])
    try:
        yield
    finally:
        _left.reset(token)


def claim(size: int, where: str, what: str) -> None:
    """Take `size` bytes that stay; ValueError if they are not there."""
    left = _left.get()
    if left is not None:
        left[0] -= size
        if left[0] < 0:
            raise _refusal(where, what)


def claim_for_a_while(size: int, where: str, what: str) -> None:
    """Ask for `size` bytes that are given back soon; ValueError if they are not there."""
    left = _left.get()
    if left is not None and size > left[0]:
        raise _refusal(where, what)


def is_limited() -> bool:
    """Whether a file is being loaded."""
    return _left.get() is not None


def _refusal(where: str, what: str) -> ValueError:
    return ValueError(
        message(
            where,
            "no more memory than the weights in the file account for",
            what,
            "Do not trust the file.",
        )
    )


def elements(shape: Iterable[int | None]) -> int:
    """How many elements an array of `shape` has, unknown sizes counted as 1."""
    return math.prod(n for n in shape if n is not None)
