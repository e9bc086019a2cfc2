"""What puts elements in order, or picks those at a place in it."""

from __future__ import annotations

import numpy as np

from densekit._core.native_form import NativeForm
from densekit.engines.op_rules.rule import Arguments, handle, name_of, require_floats, rule
from densekit.engines.plan import PlanBuilder
from densekit.engines.plan_op import Handle, NotLowerable
from densekit.ops._symbolic import FunctionOperation


@rule("sort", "argsort")
def _sort(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x, back = _last(plan, handle(a["x"]), a["axis"])
    places = plan.order(x)
    if name_of(operation) == "sort":
        return plan.transpose(plan.pick(x, places), back)
    y = plan.transpose(Handle(places.value, places.shape, plan.dtype), back)
    return Handle(y.value, y.shape, places.dtype)


@rule("top_k")
def _top_k(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> list[Handle]:
    x, k = handle(a["x"]), a["k"]
    require_floats(plan, x)
    if len(x.shape) < 2:
        raise NotLowerable("it picks samples")
    if not x.size:
        raise NotLowerable("there is nothing to put in order")
    missing = plan.activation(x, NativeForm("isnan"))
    places = plan.order(
        plan.elementwise("where", missing, -np.inf, plan.activation(x, NativeForm("negative")))
    )
    first = np.arange(x.size).reshape(x.sample_shape)[..., :k]
    best = plan.rearrange(Handle(places.value, places.shape, plan.dtype), first)
    best = Handle(best.value, best.shape, "int32")
    return [plan.pick(x, best), best]


@rule("median")
def _median(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x, axis = handle(a["x"]), a["axis"]
    require_floats(plan, x)
    if not isinstance(axis, int):
        raise NotLowerable("it takes several axes")
    rows, back = _last(plan, x, axis)
    n = rows.sample_shape[-1]
    ascending = plan.pick(rows, plan.order(rows))
    middle = np.arange(rows.size).reshape(rows.sample_shape)[..., (n - 1) // 2 : n // 2 + 1]
    y = plan.reduce("sum", plan.rearrange(ascending, middle), -1, True, mean=True)
    last = plan.rearrange(ascending, np.arange(rows.size).reshape(rows.sample_shape)[..., -1:])
    unknown = plan.elementwise("not_equal", last, last, dtype="bool")  # NaN is in order the last
    y = plan.elementwise("where", unknown, float("nan"), y)
    y = plan.transpose(y, back)
    shape = [1 if i == axis % len(x.shape) else m for i, m in enumerate(x.shape)][1:]
    kept = [m for i, m in enumerate(shape, 1) if a["keepdims"] or i != axis % len(x.shape)]
    return plan.reshape(y, [m for m in kept if m is not None])


def _last(plan: PlanBuilder, x: Handle, axis: object) -> tuple[Handle, list[int]]:
    """`x` with the axis as its last one, and the order of axes that brings it back."""
    rank = len(x.shape)
    require_floats(plan, x)
    if not isinstance(axis, int) or axis % rank == 0:
        raise NotLowerable("it puts samples in order")
    if not x.size:
        raise NotLowerable("there is nothing to put in order")
    along = axis % rank
    order = [i for i in range(1, rank) if i != along] + [along]
    return plan.transpose(x, order), [order.index(i) + 1 for i in range(1, rank)]
