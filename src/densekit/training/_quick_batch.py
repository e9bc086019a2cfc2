"""One batch after another of the same kind: what was checked of the first is not checked again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from densekit import engines, losses
from densekit._core.engine import Chunk
from densekit._core.types import Array
from densekit.data._columns import Column, Columns
from densekit.training._picks import AllRows
from densekit.training._preparation import Preparation
from densekit.training._runtime import Runtime
from densekit.training._session import Session

if TYPE_CHECKING:
    from densekit.training._model import TrainableModel


class QuickBatch:
    """The session of a batch, and what another one must be like to be run by it.

    Shapes, types and layout are compared; the state of the model and what it was compiled with,
    too. Checks that look at values are made anew.

    Args:
        session: has run such a batch.
        x, y, weight: that batch.
    """

    def __init__(
        self,
        model: TrainableModel,
        runtime: Runtime,
        data: Preparation,
        session: Session,
        x: Array,
        y: Array,
        weight: Array | None,
    ) -> None:
        self._model = model
        self._runtime = runtime
        self._data = data
        self._session = session
        self._made_for = session.made_for
        self._kind = _kind(x), _kind(y), _kind(weight)
        self._rows = AllRows()
        self._checked = [t.loss for t in session.terms if losses.checks_values(t.loss)]

    def session_for(self, x: object, y: object, weight: object) -> Session | None:
        """The session, if it fits the model as it is and this batch; values are checked.

        Raises:
            ValueError: for targets that the loss cannot mean.
        """
        model = self._model
        if type(x) is not np.ndarray or type(y) is not np.ndarray or model._dk_known_columns:
            return None
        if weight is not None and (type(weight) is not np.ndarray or len(weight) != len(x)):
            return None
        if len(x) != len(y) or not len(x) or (_kind(x), _kind(y), _kind(weight)) != self._kind:
            return None
        if self._made_for != (self._runtime.state(), model.optimizer):
            return None
        if self._checked:
            self._data.check_targets(self._runtime.signature(), [y])
        return self._session

    def chunk(self, x: Array, y: Array, weight: Array | None) -> Chunk:
        """The batch as one step."""
        rows = len(x)
        return Chunk(0, rows, [x], [y], [weight], self._rows.of(rows), 0)


def quick_batch(
    model: TrainableModel,
    runtime: Runtime,
    data: Preparation,
    session: Session,
    given: tuple[Any, Any, Any],
    columns: Columns,
) -> QuickBatch | None:
    """What runs batches like this one; None where the long way is to be taken each time.

    Args:
        given: x, y and weights as the user passed them.
        columns: what became of them.
    """
    if type(session) is not Session or model._dk_known_columns:
        return None
    groups: list[Sequence[Column]] = [columns.inputs, columns.targets, columns.weights]
    for one, column in zip(given, groups, strict=True):
        if len(column) != 1 or column[0] is not one:
            return None
        if one is None:
            continue
        if type(one) is not np.ndarray or not (one.flags.c_contiguous and engines.is_readable(one)):
            return None
    x, y, weight = given
    return None if y is None else QuickBatch(model, runtime, data, session, x, y, weight)


def _kind(array: Array | None) -> object:
    """What rows are like, and whether they lie one after another."""
    if array is None:
        return None
    return array.shape[1:], array.dtype, array.flags.c_contiguous
