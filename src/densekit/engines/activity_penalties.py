"""What activity regularizers add to the loss: those of users are followed where they can be."""

from __future__ import annotations

from collections.abc import Callable

from densekit._core.errors import returned
from densekit._core.native_form import native_form
from densekit._core.types import TensorLike
from densekit.engines.batch_numbers import BatchNumber
from densekit.engines.plan import PlanBuilder
from densekit.engines.plan_op import Handle, NotLowerable
from densekit.engines.whole_batch import Common, is_common, over_batch

Regularizer = Callable[..., TensorLike]


def penalised(plan: PlanBuilder, y: Handle, regularizer: Regularizer) -> Handle:
    """`y`, with ``regularizer(y) / batch`` added to the loss."""
    if native_form(regularizer) is None and plan.lower_formula is not None:
        mark = plan.mark()
        try:
            _add(plan, y, regularizer)
            return y
        except NotLowerable:
            plan.go_back(mark)
    return plan.activity_regularizer(y, regularizer)


def _add(plan: PlanBuilder, y: Handle, regularizer: Regularizer) -> None:
    assert plan.lower_formula is not None

    def penalty(x: TensorLike) -> object:
        return returned(regularizer(x), regularizer, "a penalty")

    outputs = plan.lower_formula(penalty, [y])
    value = outputs[0]
    if len(outputs) > 1 or value.dtype != plan.dtype:
        raise NotLowerable("it gives several values, or those of another type")
    if isinstance(value, BatchNumber):
        mean = value.reduced == "mean"
        rows = value.rows
    elif is_common(value) and not value.own_shape:
        mean, rows = True, Handle(value.value, value.shape, value.dtype)  # of copies
    else:
        raise NotLowerable("it gives no number")
    if mean:  # the sum of rows is what is divided by their number
        rows = plan.elementwise("divide", rows, _size_of_batch(plan, rows).as_rows(1))
    plan.adds_losses = True
    plan.added_loss(rows, 1.0)


def _size_of_batch(plan: PlanBuilder, rows: Handle) -> Common:
    return over_batch(plan, plan.filled(rows, (), 1.0), [0], False, False)
