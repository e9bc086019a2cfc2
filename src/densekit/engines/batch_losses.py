"""Losses that compare the rows of a batch with each other, as native programs.

No plan of rows can say what a row has to do with the next one. But all of a batch can be one row
of another plan: then its shapes are known, and each size of batch has a program of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from densekit._core.engine import LossTerm
from densekit._core.types import Array
from densekit.engines.following import follow_function
from densekit.engines.lowering import lower_parts, new_plan
from densekit.engines.one_row import READ_BESIDE_FLOATS, OneRow
from densekit.engines.plan_op import NotLowerable, exact_below
from densekit.engines.weight_formulas import formulas_of, is_of_weights

if TYPE_CHECKING:
    from densekit.losses import Loss

_MOST_PROGRAMS = 8  # sizes of batches beyond them are left to Python


class BatchLoss:
    """A loss by native programs, for the kinds of batches that come more than once.

    Args:
        loss: the loss, which computes in `dtype`.
        dtype: of the predictions.
    """

    def __init__(self, loss: Loss, dtype: str) -> None:
        self._loss = loss
        self._dtype = np.dtype(dtype)
        self._end = exact_below(dtype)
        # By the columns' shapes and types; None: met once.
        self._programs: dict[tuple[object, ...], _Program | None] = {}
        self._refused = False

    def __call__(
        self, columns: list[Array | None], need_gradient: bool
    ) -> tuple[float, Array | None] | None:
        """The loss and, if asked for, its slopes by the predictions; None: Python has to do it.

        Args:
            columns: targets, predictions, weights of the samples, each of the whole batch.
        """
        if self._refused:
            return None
        columns = [x if x is None else self._as_computed(x) for x in columns]
        kind = tuple(None if x is None else (x.shape, x.dtype.str) for x in columns)
        if kind not in self._programs:
            if len(self._programs) < _MOST_PROGRAMS:
                self._programs[kind] = None
            return None
        program = self._programs[kind]
        if program is None:
            try:
                program = self._programs[kind] = _Program(self._loss, columns)
            except NotLowerable:
                self._refused = True
                return None
        if any(x is not None and not self._are_exact(x) for x in columns):
            return None
        return program.run(columns, need_gradient)

    def _as_computed(self, column: Array) -> Array:
        """Floats in the type that the loss casts them to."""
        return column.astype(self._dtype, copy=False) if column.dtype.kind == "f" else column

    def _are_exact(self, column: Array) -> bool:
        """Whether the floats of a plan hold all of its numbers."""
        if column.dtype.kind not in "iu" or not column.size:
            return True
        return bool(-self._end < column.min() and column.max() < self._end)


class _Program:
    """The loss of one kind of batch."""

    def __init__(self, loss: Loss, columns: list[Array | None]) -> None:
        y_pred = columns[1]
        assert y_pred is not None
        dtype = y_pred.dtype.name
        given = [x for x in columns if x is not None]
        if any(x.dtype.name not in (dtype, *READ_BESIDE_FLOATS) for x in given):
            raise NotLowerable("its numbers are of a type that plans do not read")
        followed = follow_function(
            lambda *values: loss(*_in_place(columns, values)),
            [(x.shape, x.dtype.name) for x in given],
        )
        if followed.losses or len(followed.outputs) != 1:
            raise NotLowerable("it gives more than one number")
        plan = new_plan(dtype, None)
        formulas = formulas_of(plan)
        formulas.builder.holds_integers = True
        whole = [formulas.of_batch(x.shape, x.dtype.name) for x in given]
        (value,), _ = lower_parts(plan, followed, [*whole], [None] * len(whole))
        if not is_of_weights(value):
            raise NotLowerable("it does not depend on the batch")
        self._program = OneRow(formulas, value)
        self._at = 0 if columns[0] is None else 1  # the predictions among what is given

    def run(self, columns: list[Array | None], need_gradient: bool) -> tuple[float, Array | None]:
        given = [x for x in columns if x is not None]
        if not need_gradient:
            return self._program.value(given), None
        total, slopes = self._program.with_slopes(given)
        return total, slopes[self._at]


def _in_place(columns: list[Array | None], values: tuple[object, ...]) -> list[object]:
    """The values, and None where there is no column."""
    left = iter(values)
    return [None if x is None else next(left) for x in columns]


def batch_loss_of(term: LossTerm, dtype: str) -> BatchLoss | None:
    """The programs of a loss, if it is called as others are."""
    loss = term.loss
    if term.part is not None or loss.dtype != dtype:
        return None
    return BatchLoss(loss, dtype)
