"""How a tape goes back through what it recorded: from targets to sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from densekit import ops
from densekit._core.boxes import BOXES, Box, is_box, unboxed
from densekit._core.errors import describe, message
from densekit._core.types import Array, Shape, TensorLike
from densekit._core.variable import Variable
from densekit.ops._deferred import DeferredBox
from densekit.ops._gradient import Node, backward

# By id: a variable or an array, and the node at which its gradient arrives.
Roots: TypeAlias = dict[int, tuple[object, Node]]
Gradient: TypeAlias = TensorLike | None


def own_box(trace: int, value: object) -> Box | None:
    """The box of a trace around or inside `value`; None if it is not recorded there."""
    while is_box(value) and value._trace > trace:
        value = value._value
    return value if is_box(value) and value._trace == trace else None


def nodes_of(roots: Roots, trace: int, sources: Sequence[object]) -> list[Node | None]:
    """The nodes at which the gradients of sources arrive; None where nothing was recorded.

    Raises:
        TypeError: for a source that is no array or variable.
    """
    return [
        roots[id(source)][1] if id(source) in roots else _node_of(trace, source)
        for source in sources
    ]


def _node_of(trace: int, source: object) -> Node | None:
    if isinstance(source, Variable | np.ndarray | np.generic):
        return None
    if not is_box(source):
        raise TypeError(
            message(
                "GradientTape",
                "`sources` that are variables or arrays",
                describe(source),
                "Watch it first.",
            )
        )
    box = own_box(trace, source)
    return None if box is None else box._node


def is_outside(source: object) -> bool:
    """Whether no op that waits can have made a source: those need their ops one by one."""
    kind = type(source)
    return isinstance(source, Variable) or (kind in BOXES and kind is not DeferredBox)


def seeds_of(
    roots: Roots, trace: int, targets: Sequence[object], given: Sequence[Any]
) -> Iterator[tuple[Node, TensorLike]]:
    """Where to go back from, and with which gradients; None stands for ones."""
    for target, factor in zip(targets, given, strict=True):
        known = roots.get(id(target))
        box = own_box(trace, target)
        if known is not None:
            node = known[1]
        elif box is not None:
            node = box._node
        else:
            continue
        value = np.asarray(unboxed(getattr(target, "value", target)))
        if factor is None:
            factor = np.ones(value.shape, value.dtype)
        elif type(factor) not in BOXES:
            factor = np.broadcast_to(np.asarray(factor, value.dtype), value.shape)
        yield node, factor


def pull(
    seeds: list[tuple[Node, TensorLike]],
    sources: Sequence[object],
    nodes: Sequence[Node | None],
    zeros: bool,
) -> list[Gradient]:
    """Gradients at `nodes`, in the types and shapes of the sources."""
    with np.errstate(all="ignore"):
        found: Mapping[Any, Any] = backward(seeds, frozenset(n for n in nodes if n is not None))
    handed: set[int] = {id(seed) for _, seed in seeds}
    gradients: list[Gradient] = []
    for source, node in zip(sources, nodes, strict=True):
        gradient = None if node is None else found.get(node)
        like = source._value if isinstance(source, Variable) else unboxed(source)
        dtype, shape = like.dtype, np.shape(like)
        if gradient is None:
            gradients.append(np.zeros(shape, dtype) if zeros else None)
            continue
        if type(gradient) in BOXES:
            gradients.append(ops.cast(gradient, str(dtype)))
            continue
        if type(gradient) is not np.ndarray or gradient.dtype is not dtype:
            gradient = np.asarray(gradient, dtype)
        if gradient.shape != shape:
            gradient = gradient.reshape(shape)
        # Two sources may get one array: writing to one must not change the other.
        shared = id(gradient) in handed or not gradient.flags.writeable
        gradients.append(gradient.copy() if shared else gradient)
        handed.add(id(gradient))
    return gradients


def rows_of(value: Array) -> Iterator[Array]:
    """For each element of an array the cotangent that picks it out."""
    for i in range(value.size):
        one = np.zeros(value.size, value.dtype)
        one[i] = 1
        yield one.reshape(value.shape)


def stacked(rows: Sequence[Gradient], shape: Shape) -> Gradient:
    """The rows of a Jacobian as one array; None where there is none."""
    known = [row for row in rows if row is not None]
    if len(known) < len(rows):
        return None
    return ops.reshape(ops.stack(known), (*shape, *np.shape(unboxed(known[0]))))


def jacobian_of(
    roots: Roots, trace: int, target: object, sources: Sequence[object], zero: bool
) -> list[Gradient]:
    """The gradient of every element of `target`, by each source.

    Args:
        zero: whether what no target depends on has zeros, in place of None.
    """
    box = own_box(trace, target)
    if box is not None:
        assert box._node is not None  # made now, if it is made when it is needed
    nodes = nodes_of(roots, trace, sources)
    value = np.asarray(unboxed(target))
    rows = []
    for one in rows_of(value):
        seeds = list(seeds_of(roots, trace, [target], [one]))
        rows.append(pull(seeds, sources, nodes, zero))
    return [stacked(column, value.shape) for column in zip(*rows, strict=True)]
