"""Native forms of `densekit.ops` in graphs, by the rules in `op_rules`.

An op is named by its function. What depends on settings raises `NotLowerable` with the reason, and
then runs on the host.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from densekit.engines.batch_numbers import has_numbers, lower_of_numbers
from densekit.engines.op_rules import Arguments, rules
from densekit.engines.op_rules.elementwise import ELEMENTWISE
from densekit.engines.plan import PlanBuilder
from densekit.engines.plan_op import Handle, NotLowerable
from densekit.engines.whole_batch import has_common, lower_of_common, with_common
from densekit.ops._symbolic import FunctionOperation


def lower_operation(
    plan: PlanBuilder, operation: FunctionOperation, args: Sequence[object], kwargs: Arguments
) -> list[Handle]:
    """Write an op with handles in place of symbolic tensors; gives its outputs.

    Raises:
        NotLowerable: if it has no native form, and why.
    """
    name = type(operation).function.__name__
    rule = rules.get(name)
    if rule is None:
        raise NotLowerable(f"`ops.{name}` has no native form")
    arguments = _arguments(operation, args, kwargs)
    if has_numbers(arguments):
        try:
            return [lower_of_numbers(plan, name, arguments)]
        except NotLowerable:
            arguments = with_common(plan, arguments)
    result: Handle | Sequence[Handle]
    if has_common(arguments):
        result = lower_of_common(
            name, name in ELEMENTWISE, arguments, lambda a: rule(plan, operation, a)
        )
    else:
        result = rule(plan, operation, arguments)
    return [result] if isinstance(result, Handle) else list(result)


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
