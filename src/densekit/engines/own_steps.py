"""A user's own step as one plan that trains: models, formula, gradient and update together."""

from __future__ import annotations

from typing import cast

from densekit._core.engine import LossTerm
from densekit._core.native_form import native_form
from densekit._core.own_step import StepSource
from densekit.engines.following import Followed
from densekit.engines.fusing import fused
from densekit.engines.lowering import lower_parts, new_plan
from densekit.engines.masked import without_unused
from densekit.engines.native import NativeEngine
from densekit.engines.own_losses import FollowedLoss
from densekit.engines.plan_op import NotLowerable


def step_engine(source: StepSource) -> NativeEngine:
    """An engine whose steps are those of the user; without an optimizer it evaluates rows.

    Raises:
        NotLowerable: if not all of it runs natively.
    """
    graph = cast("Followed", source.graph)
    trains = source.optimizer is not None
    plan = new_plan(source.dtype, True if trains else None)
    handles = [plan.input(_sizes(x.shape), x.dtype) for x in graph.inputs]
    outputs, masks = lower_parts(plan, graph, handles, [None] * len(handles))
    if plan.has_host_nodes:
        raise NotLowerable(f"{plan.host_reasons[-1][0]} runs in Python: {plan.host_reasons[-1][1]}")
    if plan.adds_losses or any(mask is not None for mask in masks):
        raise NotLowerable("a layer adds a loss, or gives a mask")
    if not {id(v) for v in source.variables} <= plan.variables:
        raise NotLowerable("a variable that it trains has no gradient")
    for i, (rows, reduction, loss, _) in enumerate(source.terms):
        if outputs[rows].dtype != source.dtype or not outputs[rows].size:
            raise NotLowerable(f"its loss is of {outputs[rows].dtype}")
        if loss is None:
            kind = "sum" if reduction == "sum" else "sum_over_batch_size"
            plan.losses[i] = FollowedLoss(outputs[rows], kind, False)
    plan.outputs = outputs
    wanted = {handle.value for handle in outputs}
    plan.ops = fused(without_unused(plan.ops, wanted), wanted)
    if not trains:
        return NativeEngine(plan, penalties=False)
    terms = [LossTerm(rows, loss, weight) for rows, _, loss, weight in source.terms]
    engine = NativeEngine(plan, source.variables, terms, source.optimizer, penalties=False)
    if engine.asks_host or native_form(source.optimizer) is None:
        raise NotLowerable("its update runs in Python")
    return engine


def _sizes(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape[1:] if n is not None)
