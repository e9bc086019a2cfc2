"""What a tape may watch, and how what it watches becomes boxes of its trace."""

from __future__ import annotations

from copy import copy
from typing import TypeGuard

import numpy as np

from densekit._core.boxes import Box
from densekit._core.errors import describe, message
from densekit._core.tensor import Tensor
from densekit._core.types import Array, TensorLike
from densekit._core.watched import WATCHED
from densekit.ops._deferred import DeferredBox
from densekit.ops._gradient import Node, new_node


def watch_box(box: Box, trace: int) -> None:
    """The box that a user holds becomes one of this trace, around what it was."""
    if type(box) is DeferredBox:
        box.watch(trace)
        return
    box._value = copy(box)
    box._trace, box._node = trace, new_node()


def is_float_array(leaf: object) -> TypeGuard[Array]:
    """Whether something is an array whose class may change while a tape records."""
    return type(leaf) in (np.ndarray, Tensor, *WATCHED) and leaf.dtype.kind == "f"  # type: ignore[attr-defined]


def new_box_of(value: TensorLike, trace: int, node: Node) -> TensorLike:
    """A box around a value."""
    from autograd.tracer import new_box  # optional and slow

    box: TensorLike = new_box(value, trace, node)
    return box


def not_watchable(leaf: object) -> ValueError:
    """Why something is not watched."""
    return ValueError(
        message(
            "GradientTape.watch",
            "an array of floats or a variable",
            describe(leaf),
            "Convert it: `x = np.asarray(x, 'float32')`.",
        )
    )
