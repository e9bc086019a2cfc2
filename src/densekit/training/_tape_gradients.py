"""How a tape goes back through what it recorded: from targets to sources."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from operator import is_
from typing import Any, TypeAlias

import numpy as np

from densekit import ops
from densekit._core.boxes import BOXES, Box, is_box, unboxed
from densekit._core.errors import describe, message
from densekit._core.types import Array, Shape, TensorLike
from densekit._core.variable import Variable
from densekit.ops._deferred import DeferredBox
from densekit.ops._gradient import Node, backward
from densekit.training._call_record import BareCall

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


def of_formula(
    roots: Roots, trace: int, target: DeferredBox, sources: Sequence[object], zeros: bool
) -> Sequence[Gradient] | None:
    """Gradients by variables of a formula that runs natively as a whole; None: op by op."""
    program = target._step.program or target.program()
    if program is None:
        return None
    formula, places = target._formula, program.recorded
    made_by = formula.made_by[places[0]] if len(places) == 1 else None
    variables = made_by.variables if type(made_by) is BareCall else ()
    # Mostly all variables of one model.
    is_whole = sources and len(variables) == len(sources) and all(map(is_, variables, sources))
    if not is_whole and not all([is_outside(v) for v in sources]):
        return None
    value, found = program.run(formula.values, formula.numbers)
    target.learn(value)
    if made_by is not None and is_whole and found:
        gradients: Sequence[Gradient] = made_by.recorded.gradients([found[places[0]]])[0]
        return gradients
    seeds = [(formula.made_by[place].node(), d) for place, d in found.items()]
    return pull(seeds, sources, nodes_of(roots, trace, sources), zeros)


def assert_same_rows(target: object, source: object) -> None:
    """Raise a ValueError unless both have as many rows."""
    one, two = np.shape(unboxed(target)), np.shape(unboxed(source))
    if not one or one[:1] != two[:1]:
        raise ValueError(
            message(
                "GradientTape.batch_jacobian",
                "a target and a source of as many rows",
                f"shapes {one} and {two}",
                "Use `jacobian`.",
            )
        )


def picks_of(value: Array, by_row: bool) -> Iterator[Array]:
    """For each element of an array, or of its rows, the cotangent that picks it out."""
    shape = value.shape[1:] if by_row else value.shape
    size = math.prod(shape)
    for i in range(size):
        one = np.zeros(size, value.dtype)
        one[i] = 1
        yield np.broadcast_to(one.reshape(shape), value.shape).copy()


def stacked(parts: Sequence[Gradient], shape: Shape, by_row: bool) -> Gradient:
    """The gradients of elements as one array; None where there is none."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    axis = 1 if by_row else 0
    row = np.shape(unboxed(known[0]))[axis:] if known else ()
    return ops.reshape(ops.stack(known, axis=axis), (*shape, *row))


def jacobian_of(
    roots: Roots,
    trace: int,
    target: object,
    sources: Sequence[object],
    zero: bool,
    by_row: bool,
) -> list[Gradient]:
    """The gradient of every element of `target`, by each source.

    Args:
        zero: whether what no target depends on has zeros, in place of None.
        by_row: whether of each row by the same row of the source, as if rows were apart.
    """
    box = own_box(trace, target)
    if box is not None:
        assert box._node is not None  # made now, if it is made when it is needed
    nodes = nodes_of(roots, trace, sources)
    value = np.asarray(unboxed(target))
    found = []
    for one in picks_of(value, by_row):
        seeds = list(seeds_of(roots, trace, [target], [one]))
        found.append(pull(seeds, sources, nodes, zero))
    return [stacked(column, value.shape, by_row) for column in zip(*found, strict=True)]
