"""What moves, repeats, joins or drops elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from densekit._core.types import Array
from densekit._core.variable import Variable
from densekit.engines.op_rules.rule import Arguments, first, handle, name_of, require_floats, rule
from densekit.engines.plan import PlanBuilder
from densekit.engines.plan_op import Handle, NotLowerable
from densekit.engines.whole_batch import transposed
from densekit.ops._symbolic import FunctionOperation

Move = Callable[[Array], Array | Sequence[Array]]  # of elements by their numbers

# They move, repeat or drop elements: the definition, tried on their numbers, is the native form.
MOVES = [
    "reshape",
    "transpose",
    "swapaxes",
    "moveaxis",
    "expand_dims",
    "squeeze",
    "broadcast_to",
    "get_item",
    "slice",
    "split",
    "array_split",
    "unstack",
    "flip",
    "roll",
    "repeat",
    "tile",
    "tril",
    "triu",
    "pad",
    "take",
    "diagonal",
    "fliplr",
    "ravel",
    "flatten",
    "hsplit",
    "dsplit",
    "rot90",
    "depth_to_space",
    "space_to_depth",
    "extract_sequences",
]


@rule(*MOVES)
def _move(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle | list[Handle]:
    x = first(a)
    if isinstance(x, Handle) and len(x.shape) == 2 and name_of(operation) == "transpose":
        axes = a["axes"] or (1, 0)
        if tuple(axis % 2 for axis in axes) == (1, 0):
            return transposed(x)
    return plan.rearranged(*moved(operation, a))


def moved(
    operation: FunctionOperation, a: Arguments
) -> tuple[Handle, Callable[[Array], Array | Sequence[Array]]]:
    """What is moved, and what the op does with the numbers of its elements."""
    x = handle(first(a))
    if name_of(operation) == "pad" and a.get("constant_values") not in (None, 0):
        raise NotLowerable("it pads with another number than 0")
    fixed = {k: v for k, v in a.items() if v is not x}
    if any(isinstance(v, Handle | Variable) for v in fixed.values()):
        raise NotLowerable("where its elements go depends on values")
    key = next(k for k, v in a.items() if v is x)
    function: Any = type(operation).function
    return x, lambda numbers: function(**{key: numbers}, **fixed)


@rule("concatenate")
def _concatenate(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    xs = [handle(x) for x in a["xs"]]
    require_floats(plan, *xs)
    if a["axis"] is None:
        raise NotLowerable("it joins batches")
    return plan.concatenate(xs, a["axis"])


@rule("stack")
def _stack(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    xs = [handle(x) for x in a["x"]]
    require_floats(plan, *xs)
    rank = len(xs[0].shape) + 1
    axis = a["axis"] % rank
    if axis == 0:
        raise NotLowerable("it joins batches")
    grown = []
    for x in xs:
        shape = list(x.sample_shape)
        shape.insert(axis - 1, 1)
        grown.append(plan.reshape(x, shape))
    return plan.concatenate(grown, axis)


@rule("take_along_axis")
def _take_along_axis(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x, indices, axis = handle(a["x"]), a["indices"], a["axis"]
    rank = len(x.shape)
    if not isinstance(indices, Handle):
        raise NotLowerable("its indices do not depend on the inputs")
    if axis is None or axis % rank != rank - 1 or len(indices.shape) != rank:
        raise NotLowerable("it takes along another axis than the last")
    if indices.sample_shape[:-1] != x.sample_shape[:-1] or not x.size:
        raise NotLowerable("it broadcasts")
    require_floats(plan, x)
    return plan.pick(x, indices)
