"""Losses of users in the plan: a function of targets and predictions is followed, op by op."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from densekit._core import tree
from densekit._core.engine import LossTerm
from densekit._core.masks import mask_of
from densekit._core.native_form import native_form
from densekit.engines.batch_losses import batch_loss_of
from densekit.engines.batch_numbers import BatchNumber, BatchValue
from densekit.engines.following import Ends, follow_call
from densekit.engines.fusing import fused
from densekit.engines.lowering import lower_parts
from densekit.engines.masked import without_unused
from densekit.engines.plan import PlanBuilder
from densekit.engines.plan_op import Handle, NotLowerable
from densekit.engines.reductions import reduction_of
from densekit.engines.whole_batch import is_common
from densekit.losses import Loss
from densekit.ops import KerasTensor


@dataclass(frozen=True, slots=True)
class FollowedLoss:
    """A loss that is a value of the plan: one number a position, and how they become one."""

    rows: Handle
    reduction: str
    whole_batch: bool  # no weights: the loss itself was one number


def lower_losses(plan: PlanBuilder, terms: Sequence[LossTerm]) -> None:
    """Follow the losses without a native form into the plan; what cannot be stays on the host."""
    before = len(plan.ops)
    for i, term in enumerate(terms):
        if native_form(term.loss) is not None:
            continue
        mark = plan.mark()
        targets = len(plan.targets)
        try:
            plan.losses[i] = _followed(plan, term)
        except NotLowerable as why:
            plan.go_back(mark)
            del plan.targets[targets:]
            plan.loss_reasons[i] = str(why)
            plan.batch_losses[i] = batch_loss_of(term, plan.dtype)
    if len(plan.ops) > before:
        read = [*plan.outputs, *plan.masks, *(loss.rows for loss in plan.losses.values())]
        wanted = {handle.value for handle in read if handle is not None}
        plan.ops = fused(without_unused(plan.ops, wanted), wanted)


def _followed(plan: PlanBuilder, term: LossTerm) -> FollowedLoss:
    loss, output = term.loss, plan.outputs[term.output]
    mask = plan.masks[term.output] if plan.masks else None
    if term.target is None:
        raise NotLowerable("the shape of its targets is not known")
    own = type(loss)
    if own.__call__ is not Loss.__call__ or own.valid is not Loss.valid:
        raise NotLowerable("it is called in a way of its own")
    if not loss.dtype == output.dtype == plan.dtype:
        raise NotLowerable(f"it computes in {loss.dtype}, the plan in {plan.dtype}")
    reduction = reduction_of(loss)
    given = [KerasTensor((None, *term.target), plan.dtype), KerasTensor(output.shape, plan.dtype)]

    def call() -> Ends:
        values = tree.flatten(loss.call(*given))
        return values, [mask_of(value) for value in values]

    followed = follow_call(call, given, "it")
    if any(made is not None for made in followed.masks) or len(followed.outputs) != 1:
        raise NotLowerable("it gives a mask, or several values")
    target = _target(plan, term.output, term.target)
    before = len(plan.host_reasons)
    (value,), _ = lower_parts(plan, followed, [target, output], [None, None])
    if len(plan.host_reasons) > before:
        raise NotLowerable(plan.host_reasons[-1][1])
    if value.dtype != plan.dtype or followed.losses:
        raise NotLowerable(f"it gives {value.dtype}, or adds a loss")
    if is_common(value) and not value.own_shape:
        value = BatchNumber(Handle(value.value, value.shape, value.dtype), "mean")  # of copies
    if isinstance(value, BatchValue) and not isinstance(value, BatchNumber):
        raise NotLowerable("it is an array of the whole batch")
    if isinstance(value, BatchNumber):
        if mask is not None:
            raise NotLowerable("it is one number for the batch, and the output has a mask")
        kind = "sum" if value.reduced == "sum" else "sum_over_batch_size"
        return FollowedLoss(value.rows, kind, True)
    shape = value.sample_shape
    if mask is not None and mask.sample_shape != shape[: len(mask.sample_shape)]:
        raise NotLowerable("the mask of the output does not fit it")
    if 0 in shape:
        raise NotLowerable("it is empty")
    return FollowedLoss(value, reduction, False)


def _target(plan: PlanBuilder, output: int, shape: tuple[int, ...]) -> Handle:
    """The targets of an output as a value, shared by its losses."""
    for known, handle in plan.targets:
        if known == output:
            return handle
    handle = plan.target(shape)
    plan.targets.append((output, handle))
    return handle
