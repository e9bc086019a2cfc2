"""A loss called inside a tape: one step of the record, natively forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np

from densekit import engines
from densekit._core.boxes import BOXES
from densekit._core.native_form import native_form
from densekit._core.tensor import Tensor
from densekit.ops._gradient import new_node

_MEANS = ("sum_over_batch_size", "mean", "mean_with_sample_weight")
_ARRAYS = frozenset({np.ndarray, Tensor})
_NAMES = {"f": "float32", "d": "float64"}  # asking a dtype for its name takes longer


def run_recorded_loss(tape: Any, loss: Any, args: tuple[Any, ...]) -> Any:
    """The value of a loss of recorded predictions, or NotImplemented for its definition.

    Only for one tape: a gradient that another tape records has to be a formula.
    """
    y_true, y_pred = args
    if tape.outer is not None or type(y_pred) not in BOXES or y_pred._trace != tape.trace:
        return NotImplemented
    predictions = y_pred._value
    if type(y_true) not in _ARRAYS or type(predictions) not in _ARRAYS or predictions.ndim != 2:
        return NotImplemented
    divides = loss.reduction in _MEANS
    if _NAMES.get(predictions.dtype.char) != loss.dtype or not (divides or loss.reduction == "sum"):
        return NotImplemented
    form = native_form(loss)
    if form is None or form.whole_batch or not len(predictions):
        return NotImplemented
    sparse = form.kind.startswith("sparse")
    if sparse and y_true.shape == (len(predictions), 1):
        y_true = y_true[:, 0]
    if y_true.shape != (predictions.shape[:1] if sparse else predictions.shape):
        return NotImplemented
    losses = engines.engine_kind().losses_of_rows(form, y_true, predictions)
    if losses is None:
        return NotImplemented
    rows, gradient_of_rows = losses
    divisor = len(rows) if divides else 1
    value = predictions.dtype.type(rows.sum(dtype=np.float64) / divisor)

    def back(gradient: Any) -> tuple[Any]:
        slopes = gradient_of_rows()
        slopes *= slopes.dtype.type(gradient) / divisor
        return (slopes,)

    return type(y_pred)(value, tape.trace, new_node((y_pred._node,), back))
