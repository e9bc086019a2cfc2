"""Ops on boxes that wait are noted by the core once they were met: `ops/_deferred.py`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from threading import Lock

from autograd.numpy.numpy_boxes import ArrayBox

from densekit._core.tensor import Tensor
from densekit.engines.native import quicken
from densekit.ops._deferred import DeferredBox, DeferredTruth, Formula
from densekit.ops._formula_steps import SLOTS, Step

_quickening = Lock()  # the first tapes of a program may be those of several threads


def note_natively() -> dict[str, Callable[..., object]]:
    """Give the boxes methods of the core; the methods that meet an op first, by name."""
    with _quickening:
        return _quickened()


@cache
def _quickened() -> dict[str, Callable[..., object]]:
    return quicken(DeferredBox, DeferredTruth, Formula, Step, SLOTS, Tensor, ArrayBox)
