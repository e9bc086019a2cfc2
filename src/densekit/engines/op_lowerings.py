"""Native forms of `densekit.ops` in graphs, by the rules in `op_rules`.

An op is named by its function. What depends on settings raises `NotLowerable` with the reason, and
then runs on the host.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import cast

import numpy as np

from densekit._core import tree
from densekit._core.variable import Variable
from densekit.engines.batch_numbers import has_numbers, lower_of_numbers
from densekit.engines.eligibility import halves_in
from densekit.engines.op_rules import Arguments, rules
from densekit.engines.op_rules.elementwise import ELEMENTWISE
from densekit.engines.op_rules.moves import MOVES, moved
from densekit.engines.plan import PlanBuilder
from densekit.engines.plan_op import Handle, NotLowerable
from densekit.engines.weight_formulas import formulas_of, is_of_weights, lower_of_weights
from densekit.engines.whole_batch import (
    Common,
    Transposed,
    has_common,
    is_common,
    lower_of_common,
    with_common,
)
from densekit.ops import KerasTensor
from densekit.ops._symbolic import FunctionOperation, Node


def lower_op(plan: PlanBuilder, node: Node, inputs: Sequence[Handle]) -> list[Handle]:
    """An op, in the type its definition gives.

    Raises:
        NotLowerable: if it has no native form, and why.
    """
    dtypes = {tensor.dtype for tensor in node.outputs}
    if not dtypes <= {plan.dtype, *halves_in(plan), "bool", "int32", "int64"}:
        raise NotLowerable(
            f"it gives {', '.join(sorted(dtypes))}, the plan computes in {plan.dtype}"
        )
    operation = cast("FunctionOperation", node.operation)
    plan.precision = dtypes.pop() if len(dtypes) == 1 and dtypes <= halves_in(plan) else ""
    try:
        if inputs and all(map(is_of_weights, inputs)):
            given = _arguments(operation, *with_handles(node, inputs))
            outputs = lower_of_weights(plan, operation, given)
        else:
            outputs = _lower_of_rows(plan, node, inputs)
    finally:
        plan.precision = ""
    for tensor, handle in zip(node.outputs, outputs, strict=True):
        if tensor.dtype != handle.dtype:
            raise NotLowerable(f"it gives {tensor.dtype}")
    return outputs


def _require_rule(operation: FunctionOperation) -> str:
    name = type(operation).function.__name__
    if name not in rules:
        raise NotLowerable(f"`ops.{name}` has no native form")
    return name


def _lower_of_rows(plan: PlanBuilder, node: Node, inputs: Sequence[Handle]) -> list[Handle]:
    """An op of rows, and of weights; of what all rows have in common, too."""
    operation = cast("FunctionOperation", node.operation)
    name = _require_rule(operation)
    rule = rules[name]
    if name not in ("matmul", "dot") and any(isinstance(x, Transposed) for x in inputs):
        raise NotLowerable(f"`ops.{name}` takes rows as columns")
    if name == "matmul" and len(inputs) == 2 and is_of_weights(inputs[1]):
        tied = _times_transposed(plan, *inputs)
        if tied is not None:
            return [tied]
    read = [formulas_of(plan).variable(x) if is_of_weights(x) else x for x in inputs]
    arguments = _arguments(operation, *with_handles(node, read))
    if plan.assigned:
        arguments = tree.map_structure(
            lambda x: plan.current(x) if isinstance(x, Variable) else x, arguments
        )
    if has_numbers(arguments):
        try:
            return [lower_of_numbers(plan, name, arguments)]
        except NotLowerable:
            arguments = with_common(plan, arguments)
    result: Handle | Sequence[Handle]
    if has_common(arguments):
        if name in MOVES:
            return _move_common(plan, operation, arguments)
        result = lower_of_common(
            name, name in ELEMENTWISE, arguments, lambda a: rule(plan, operation, a)
        )
    else:
        result = rule(plan, operation, arguments)
    return [result] if isinstance(result, Handle) else list(result)


def _move_common(
    plan: PlanBuilder, operation: FunctionOperation, arguments: Arguments
) -> list[Handle]:
    """Elements of a value of the whole batch in other places."""
    x, move = moved(operation, arguments)
    assert is_common(x)
    size = math.prod(x.own_shape)
    result = move(np.arange(1, size + 1).reshape(x.own_shape))
    parts = result if isinstance(result, list | tuple) else [result]
    flat = Handle(x.value, (None, size), x.dtype)
    handles = [plan.rearrange(flat, np.asarray(part) - 1) for part in parts]
    return [Common(y, y.sample_shape) for y in handles]


def _times_transposed(plan: PlanBuilder, x: Handle, y: Handle) -> Handle | None:
    """A product with a matrix that lies in a variable as its transpose: it stays there."""
    variable, axes = formulas_of(plan).transposed.get(y.value, (None, ()))
    if variable is None or axes != (1, 0) or len(x.shape) < 2:
        return None
    outer = "abcdefghij"[: len(x.shape) - 1]
    return plan.einsum(f"{outer}x,yx->{outer}y", x, variable)


def with_handles(node: Node, inputs: Sequence[object]) -> tuple[tuple[object, ...], Arguments]:
    """The call's arguments, with handles in place of its symbolic tensors."""
    values = iter(inputs)
    args, kwargs = tree.map_structure(
        lambda leaf: next(values) if isinstance(leaf, KerasTensor) else leaf,
        (node.args, dict(node.kwargs)),
    )
    return tuple(args), kwargs


def native_names() -> list[str]:
    """Names of the ops that have a native form."""
    return sorted(rules)


def _arguments(
    operation: FunctionOperation, args: Sequence[object], kwargs: Arguments
) -> Arguments:
    """Arguments by name, as the function itself takes them."""
    given: Arguments = {**operation.settings, **kwargs}
    if operation.variadic:
        return {**given, "operands": list(args)}
    given |= dict(zip(operation.arguments, args, strict=False))
    for name, parameter in inspect.signature(type(operation).function).parameters.items():
        if parameter.default is not parameter.empty:
            given.setdefault(name, parameter.default)
    return given
