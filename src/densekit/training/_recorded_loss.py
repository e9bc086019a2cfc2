"""A loss called inside a tape: one step of the record, natively forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np

from densekit import engines
from densekit._core import assignments, masks
from densekit._core.boxes import BOXES
from densekit._core.native_form import NativeForm, native_form
from densekit._core.tensor import Tensor
from densekit._core.types import Array, TensorLike
from densekit.losses import Loss
from densekit.ops._deferred import DeferredBox, settled
from densekit.ops._formula_steps import SLOTS, Key
from densekit.ops._gradient import new_node

_NONE: dict[str, object] = {}
_forms: dict[str, NativeForm] = {}

_MEANS = ("sum_over_batch_size", "mean", "mean_with_sample_weight")
_ARRAYS = frozenset({np.ndarray, Tensor})
_NAMES = {"f": "float32", "d": "float64"}  # asking a dtype for its name takes longer


def run_recorded_loss(tape: Any, loss: Loss, args: tuple[Any, Any, Any]) -> object:
    """The value of a loss of recorded predictions, or NotImplemented for its definition.

    Only for one tape: a gradient that another tape records has to be a formula.
    """
    y_true, y_pred, weights = args
    if masks.in_use and masks.mask_of(y_pred) is not None:
        return NotImplemented
    quick = loss.__dict__.get("_dk_noted")
    bare = weights is None and tape.outer is None
    if quick is not None and bare and type(y_pred) is DeferredBox:
        count, before, shape, dtype, step, form, divisor = quick
        formula = y_pred._formula
        if (
            type(y_true) is np.ndarray
            and y_true.shape == shape
            and y_true.dtype is dtype
            and formula.step is before is y_pred._step
            and formula.trace == tape._trace
            and count == assignments.count()
        ):
            y_true = y_true.copy()
            formula.values[step.place - 1] = y_true
            formula.step = step
            return DeferredBox(
                formula, step, _at_once, ((form, y_true, y_pred, divisor, None), _NONE)
            )
    if tape.outer is not None or type(y_pred) not in BOXES or y_pred._trace != tape.trace:
        return NotImplemented
    shape = y_pred.shape
    if type(y_true) not in _ARRAYS or len(shape) != 2 or not shape[0]:
        return NotImplemented
    divides = loss.reduction in _MEANS
    if _NAMES.get(y_pred.dtype.char) != loss.dtype or not (divides or loss.reduction == "sum"):
        return NotImplemented
    form = _form_of(loss)
    if form is None or form.whole_batch:
        return NotImplemented
    sparse = form.kind.startswith("sparse")
    if sparse and y_true.shape == (shape[0], 1):
        y_true = y_true[:, 0]
    if y_true.shape != (shape[:1] if sparse else shape):
        return NotImplemented
    if weights is not None and not (
        type(weights) in _ARRAYS
        and weights.dtype == y_pred.dtype
        and weights.shape == shape[:1]
        and loss.reduction != "mean_with_sample_weight"
    ):
        return NotImplemented
    divisor = float(shape[0]) if divides else 1.0
    if type(y_pred) is DeferredBox and not (sparse and _is_odd(y_true, shape[1])):
        y_true = y_true.copy()
        place = SLOTS[y_pred._step.place]
        key: Key = ("loss", ("form", form), (y_true.shape, y_true.dtype), place, ("rows", divisor))
        arrays = [y_true]
        if weights is not None:
            weights = weights.copy()
            arrays.append(weights)
            key = (*key, (weights.shape, weights.dtype))
        noted = form, y_true, y_pred, divisor, weights
        formula = y_pred._formula
        before = formula.step
        value = formula.note(key, arrays, _at_once, noted, {})
        if weights is None and before is y_pred._step and type(value) is DeferredBox and not sparse:
            quick = assignments.count(), before, y_true.shape, y_true.dtype
            loss.__dict__["_dk_noted"] = *quick, value._step, form, divisor
        return value
    return _at_once(form, y_true, settled(y_pred), divisor, weights)


def _at_once(
    form: NativeForm, y_true: Array, y_pred: Any, divisor: float, weights: Array | None
) -> object:
    """The loss of a box, as one node."""
    found = engines.engine_kind().mean_loss(form, y_true, y_pred._value, divisor, weights)
    if found is None:
        return NotImplemented
    value, slopes = found

    def back(gradient: TensorLike) -> tuple[TensorLike]:
        return (slopes if gradient == 1 else slopes * slopes.dtype.type(gradient),)

    value = slopes.dtype.type(value)
    return type(y_pred)(value, y_pred._trace, new_node((y_pred._node,), back))


def _form_of(loss: Loss) -> NativeForm | None:
    """`native_form`, looked up anew only when something was set."""
    count = assignments.count()
    known: tuple[object, NativeForm | None] | None = loss.__dict__.get("_dk_form")
    if known is None or known[0] != count:
        form = native_form(loss)
        if form is not None:  # the same object for the same numbers: NaN is among them, too
            form = _forms.setdefault(repr(form), form)
        known = loss.__dict__["_dk_form"] = count, form
    found: NativeForm | None = known[1]
    return found


def _is_odd(labels: Array, classes: int) -> bool:
    """Whether a label is no class, of which the error or what is ignored has to be found out."""
    return bool(labels.min() < 0 or labels.max() >= classes)
