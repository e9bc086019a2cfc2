"""What makes one element of many: sums, extrema, norms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from densekit._core import settings
from densekit._core.native_form import NativeForm
from densekit.engines.batch_numbers import batch_number
from densekit.engines.op_rules.rule import (
    Arguments,
    first,
    handle,
    name_of,
    require_floats,
    rule,
)
from densekit.engines.plan import PlanBuilder
from densekit.engines.plan_op import Handle, NotLowerable
from densekit.engines.whole_batch import Common, over_batch
from densekit.ops._symbolic import FunctionOperation

# name: native reduction, whether a mean
_REDUCTIONS = {
    "sum": ("sum", False),
    "mean": ("sum", True),
    "max": ("max", False),
    "amax": ("max", False),
    "min": ("min", False),
    "amin": ("min", False),
    "prod": ("prod", False),
    "logsumexp": ("logsumexp", False),
    "all": ("min", False),
    "any": ("max", False),
}


@rule(*_REDUCTIONS)
def _reduce(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    name, x = name_of(operation), handle(first(a))
    number = batch_number(plan, name, x, a["axis"], a["keepdims"])
    if number is not None:
        return number
    kind, mean = _REDUCTIONS[name]
    if a.get("initial") is not None:
        raise NotLowerable("it begins with a given value")
    axes = _over_batch(x, a["axis"])
    if axes and kind == "sum":
        return over_batch(plan, x, axes, a["keepdims"], mean)
    truth = name in ("all", "any")
    if truth and x.dtype != "bool":
        x = plan.elementwise("not_equal", x, 0.0, dtype="bool")
    if not truth:
        require_floats(plan, x)
        if x.dtype == "bool":
            raise NotLowerable("it computes with bool")
    return plan.reduce(kind, x, a["axis"], a["keepdims"], mean, "bool" if truth else None)


@rule("argmax", "argmin")
def _position(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    return plan.reduce(name_of(operation), handle(a["x"]), a["axis"], a["keepdims"], dtype="int32")


@rule("var", "std")
def _variance(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x = handle(a["x"])
    require_floats(plan, x)
    axes = _over_batch(x, a["axis"])
    if axes:
        return _variance_over_batch(plan, name_of(operation), x, axes, a["keepdims"])
    centred = plan.elementwise("subtract", x, plan.reduce("sum", x, a["axis"], True, True))
    squares = plan.activation(centred, NativeForm("square"))
    variance = plan.reduce("sum", squares, a["axis"], a["keepdims"], True)
    return (
        variance if name_of(operation) == "var" else plan.activation(variance, NativeForm("sqrt"))
    )


def _variance_over_batch(
    plan: PlanBuilder, name: str, x: Handle, axes: Sequence[int], keepdims: bool
) -> Handle:
    mean = over_batch(plan, x, axes, True, True).as_rows(len(x.shape))
    squares = plan.activation(plan.elementwise("subtract", x, mean), NativeForm("square"))
    variance = over_batch(plan, squares, axes, keepdims, True)
    if name == "var":
        return variance
    return Common(plan.activation(variance, NativeForm("sqrt")), variance.own_shape)


def _over_batch(x: Handle, axis: int | Sequence[int] | None) -> list[int]:
    """The axes of a reduction that goes over the batch of floats; none for others."""
    rank = len(x.shape)
    axes = range(rank) if axis is None else [axis] if isinstance(axis, int) else axis
    found = [a % rank for a in axes]
    return found if 0 in found and "float" in x.dtype else []


@rule("norm")
def _norm(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x = handle(a["x"])
    if a["ord"] not in (None, 2) or not isinstance(a["axis"], int):
        raise NotLowerable("it takes another norm than the Euclidean one of an axis")
    require_floats(plan, x)
    squares = plan.activation(x, NativeForm("square"))
    return plan.activation(
        plan.reduce("sum", squares, a["axis"], a["keepdims"]), NativeForm("sqrt")
    )


@rule("normalize")
def _normalize(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    axis = a["axis"]
    if a["order"] != 2 or axis is None:
        raise NotLowerable("it takes another norm than the Euclidean one of an axis")
    epsilon = settings.epsilon() if a["epsilon"] is None else a["epsilon"]
    require_floats(plan, a["x"])
    axes = [axis] if isinstance(axis, int) else list(axis)
    return plan.normalization("unit", handle(a["x"]), axes, epsilon)


@rule("cumsum")
def _cumsum(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x = handle(a["x"])
    rank = len(x.shape)
    require_floats(plan, x)
    along = None if a["axis"] is None else a["axis"] % rank
    if along in (None, 0) or a.get("dtype") not in (None, x.dtype):
        raise NotLowerable("it runs along the batch axis, or in another type")
    positions = np.arange(x.size).reshape(x.sample_shape)
    step, width = 1, x.sample_shape[along - 1]
    while step < width:  # sums of 2, 4, 8 ... elements: no product, in which NaN would spread
        before = np.delete(positions, np.s_[width - step :], along - 1)
        pad = [(step, 0) if i == along else (0, 0) for i in range(1, rank)]
        before = np.pad(before, pad, constant_values=-1)
        x = plan.elementwise("add", x, plan.rearrange(x, before))
        step *= 2
    return x
