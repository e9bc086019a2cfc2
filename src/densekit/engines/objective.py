"""`Objective`: what training makes small, by the definitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from densekit import ops
from densekit._core import tree
from densekit._core.engine import LossTerm
from densekit._core.errors import returned
from densekit._core.masks import mask_of
from densekit._core.native_form import native_form
from densekit._core.scope import StatelessScope
from densekit._core.types import TensorLike
from densekit._core.variable import Variable
from densekit.engines.reductions import reduction_of
from densekit.losses import Loss
from densekit.losses._checks import exact_as, is_built_in


class Batch(NamedTuple):
    """Rows of a step: per input an array, per loss a target and weights or None; what metrics need
    beside these.
    """

    inputs: list[Any]
    targets: list[Any]
    weights: list[Any]
    measured: Sequence[Any] = ()


class Results(NamedTuple):
    """What a call of an `Objective` gives: total, each loss unweighted, outputs and their masks."""

    total: TensorLike
    singles: list[TensorLike]
    outputs: list[TensorLike]
    masks: list[TensorLike | None]


class Objective:
    """Losses of a function of whole batches: of its outputs, those it adds, and penalties.

    Args:
        function: takes one array per input, gives a structure of outputs.
        trainable: variables whose penalties count.
        losses: terms of the loss.
        needs_loss: whether it is an error if nothing adds to the total.
    """

    def __init__(
        self,
        function: Callable[..., object],
        trainable: Sequence[Variable],
        losses: Sequence[LossTerm],
        needs_loss: bool,
    ) -> None:
        self._function = function
        self._trainable = list(trainable)
        self._losses = list(losses)
        self._needs_loss = needs_loss

    def __call__(
        self, scope: StatelessScope, batch: Batch, real: TensorLike | None = None
    ) -> Results:
        """The losses of a batch; variables read as `scope` says, which gathers the losses added.

        Args:
            real: how many rows, the first ones, count; None: all. `counts_rows` tells where that
                makes the losses those of these rows alone.
        """
        with scope:
            outputs = tree.flatten(self._function(*batch.inputs))
            given = zip(self._losses, batch.targets, batch.weights, strict=True)
            singles = [
                _loss(term.loss, term.of(outputs), y_true, weight)
                if real is None
                else _loss_of_first(term.loss, term.of(outputs), y_true, weight, real)
                for term, y_true, weight in given
            ]
            weighted = zip(singles, self._losses, strict=True)
            parts = [single * term.weight for single, term in weighted]
            parts += [ops.sum(loss) for loss in scope.losses]
            parts += [_penalty(v) for v in self._trainable if v.regularizer]
        if not parts and self._needs_loss:
            raise ValueError("No loss to compute. Provide a `loss` argument in `compile()`.")
        total = sum(parts[1:], parts[0]) if parts else np.zeros(())
        return Results(total, singles, outputs, [mask_of(y) for y in outputs])


def beside_targets(y_pred: TensorLike, y_true: TensorLike | None) -> TensorLike:
    """Predictions of a whole batch, a scalar or a single row, repeated for each target."""
    if y_true is None or (len(y_pred.shape) > 0 and (y_pred.shape[0] != 1 or len(y_true) == 1)):
        return y_pred
    if len(y_pred.shape) == 0:
        return ops.broadcast_to(y_pred, y_true.shape)
    return ops.broadcast_to(y_pred, (len(y_true), *y_pred.shape[1:]))


def _loss(
    loss: Any, y_pred: TensorLike, y_true: TensorLike | None, weight: TensorLike | None
) -> TensorLike:
    # One of ours compares shapes, Keras broadcasts.
    if is_built_in(loss) and not tree.is_nested(y_pred):
        y_pred = beside_targets(y_pred, y_true)
    loss = exact_as(y_pred, loss)
    return ops.sum(returned(loss(y_true, y_pred, sample_weight=weight), loss, "a loss"))


def counts_rows(loss: Any) -> bool:
    """Whether it is a sum over rows, or such a sum divided by their number."""
    form = native_form(loss)
    if form is None or form.whole_batch or type(loss).valid is not Loss.valid:
        return False
    return reduction_of(loss) in ("sum", "sum_over_batch_size")


def _loss_of_first(
    loss: Any,
    y_pred: TensorLike,
    y_true: TensorLike | None,
    weight: TensorLike | None,
    real: TensorLike,
) -> TensorLike:
    """The loss of the first rows: the others get the weight 0."""
    rows = y_pred.shape[0]
    counts = ops.cast(ops.arange(rows) < real, y_pred.dtype)
    if weight is not None:
        counts = weight * ops.reshape(counts, (rows,) + (1,) * (len(weight.shape) - 1))
    value = _loss(loss, y_pred, y_true, counts)
    if reduction_of(loss) == "sum":
        return value
    wide = str(value.dtype) == "float64"  # a quotient of whole numbers would have 32 bits
    return value * (rows / ops.cast(real, "float64" if wide else "float32"))


def _penalty(variable: Variable) -> TensorLike:
    regularizer: Any = variable.regularizer
    return ops.sum(returned(regularizer(variable.value), regularizer, "a penalty"))
