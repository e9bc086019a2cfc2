"""How rules for lowering ops are registered, and what they ask of operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from densekit._core.variable import Variable
from densekit.engines.plan import PlanBuilder
from densekit.engines.plan_op import Handle, NotLowerable
from densekit.ops._symbolic import FunctionOperation

Arguments = dict[str, Any]  # by name, as the function takes them
Rule = Callable[[PlanBuilder, FunctionOperation, Arguments], Handle | Sequence[Handle]]

rules: dict[str, Rule] = {}  # by the name of the op
AnyRule = TypeVar("AnyRule", bound=Rule)


def rule(*names: str) -> Callable[[AnyRule], AnyRule]:
    """Registers how the ops of these names are lowered."""

    def register(rule: AnyRule) -> AnyRule:
        for name in names:
            rules[name] = rule
        return rule

    return register


def name_of(operation: FunctionOperation) -> str:
    """The name of the op in `ops`."""
    return type(operation).function.__name__


def first(arguments: Arguments) -> object:
    """The first operand, whatever the function calls it."""
    names = ("x", "xs", "a", "inputs", "variable", "array")
    return next(arguments[key] for key in names if key in arguments)


def handle(x: object) -> Handle:
    """`x`, which must be a value of the plan."""
    if not isinstance(x, Handle):
        raise NotLowerable("its first operand does not depend on the inputs")
    return x


def require_floats(plan: PlanBuilder, *xs: object) -> None:
    """Refuse what the definition computes in another type than the plan."""
    for x in xs:
        if isinstance(x, Handle) and "int" in x.dtype:
            raise NotLowerable(f"it computes with {x.dtype}")
        other = {"float16", "float32", "float64"} - {plan.dtype}
        if isinstance(x, Handle) and plan.dtype == "float32":
            other.discard("float16")  # whose values are there, rounded
        if isinstance(x, Handle | Variable) and x.dtype in other:
            raise NotLowerable(f"it computes in {x.dtype}, the plan in {plan.dtype}")


def constant(plan: PlanBuilder, value: npt.ArrayLike) -> Variable:
    """A parameter of the plan that nothing changes."""
    return Variable(np.asarray(value), dtype=plan.dtype, trainable=False, name="constant")
