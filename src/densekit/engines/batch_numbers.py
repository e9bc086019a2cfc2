"""Numbers made of a whole batch, in a plan of rows: a sum or mean over rows of one value a row.

Only what is linear in them stays so: sums of such numbers, multiples, negatives. The rest of a
formula keeps to rows, and the end of it, a loss, adds them up.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from densekit._core.native_form import NativeForm
from densekit._core.types import Config
from densekit._core.variable import Variable
from densekit.engines.plan import PlanBuilder
from densekit.engines.plan_op import Handle, NotLowerable

_ENDS = {"mean": "mean", "sum": "sum"}
_KEEP = ("mean", "sum", "convert_to_tensor", "array", "copy", "identity", "squeeze")


class BatchValue(Handle):
    """A value of the whole batch, of which each row has a part or a copy."""

    __slots__ = ()


class BatchNumber(BatchValue):
    """The sum or mean over the batch of a value that has one element a row."""

    __slots__ = ("reduced",)

    def __init__(self, rows: Handle, reduced: str) -> None:
        super().__init__(rows.value, rows.shape, rows.dtype)
        self.reduced = reduced

    @property
    def rows(self) -> Handle:
        """The value."""
        return Handle(self.value, self.shape, self.dtype)


def batch_number(
    plan: PlanBuilder, name: str, x: object, axis: Any, keepdims: object
) -> Handle | None:
    """``ops.mean(x)`` or ``ops.sum(x)`` over all axes; None for other reductions."""
    if name not in _ENDS or not isinstance(x, Handle) or keepdims or "float" not in x.dtype:
        return None
    rank = len(x.shape)
    axes = range(rank) if axis is None else (axis,) if isinstance(axis, int) else axis
    if {a % rank for a in axes} != set(range(rank)):
        return None
    if rank > 1:
        if 0 in x.sample_shape:
            raise NotLowerable("there is nothing to reduce")
        x = plan.reduce("sum", x, range(1, rank), mean=name == "mean")
    return BatchNumber(x, _ENDS[name])


def has_numbers(arguments: Config) -> bool:
    """Whether an operand is a number of the batch."""
    given = [*arguments.values(), *arguments.get("operands", ())]
    return any(isinstance(x, BatchNumber) for x in given)


def lower_of_numbers(plan: PlanBuilder, name: str, arguments: Config) -> Handle:
    """An op of such numbers, if it is linear in them.

    Raises:
        NotLowerable: if it is not.
    """
    if name in ("add", "subtract", "multiply", "divide", "true_divide"):
        return _pair(plan, name, arguments["x1"], arguments["x2"])
    x = next(v for v in arguments.values() if isinstance(v, BatchNumber))
    if name == "negative":
        return BatchNumber(plan.activation(x.rows, NativeForm("negative")), x.reduced)
    if name in _KEEP or (name == "cast" and arguments["dtype"] == x.dtype):
        return x
    raise NotLowerable(f"`ops.{name}` of a sum over the batch is no sum over the batch")


def _pair(plan: PlanBuilder, name: str, x1: Any, x2: Any) -> Handle:
    formula = "divide" if name == "true_divide" else name
    make: Callable[..., Handle] = plan.elementwise
    if isinstance(x1, BatchNumber) and isinstance(x2, BatchNumber):
        if formula in ("add", "subtract") and x1.reduced == x2.reduced:
            return BatchNumber(make(formula, x1.rows, x2.rows), x1.reduced)
        raise NotLowerable("it joins two numbers of the batch")
    number, other = (x1, x2) if isinstance(x1, BatchNumber) else (x2, x1)
    if isinstance(other, Handle | Variable) or np.ndim(other) != 0:
        raise NotLowerable("it joins rows with a number of the whole batch")
    scales = formula == "multiply" or (formula == "divide" and number is x1)
    shifts = formula in ("add", "subtract") and number.reduced == "mean"
    if not (scales or shifts) or not math.isfinite(float(other)):
        raise NotLowerable("it is no multiple of a sum over the batch")
    given = (number.rows, other) if number is x1 else (other, number.rows)
    return BatchNumber(make(formula, *given), number.reduced)
