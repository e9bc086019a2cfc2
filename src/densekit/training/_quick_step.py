"""One batch after another for a step that an engine makes: checked once, not each time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from densekit._core.engine import Chunk
from densekit._core.types import Array
from densekit.training._own_steps import StepLoop
from densekit.training._picks import AllRows
from densekit.training._step_data import BatchStructure


class QuickStep:
    """What a batch must be like to be run as the one before was.

    Args:
        function: the model's loop over steps.
        data: how that batch was put together.
        given: that batch: inputs, targets, weights.
    """

    def __init__(self, function: StepLoop, data: BatchStructure, given: tuple[object, ...]) -> None:
        self._function, self._data = function, data
        self._kind = _kind(given)
        self._rows = AllRows()

    def ready(self, function: object, given: tuple[object, ...]) -> Callable[[], object] | None:
        """What makes the step and gives its logs; None if no engine does."""
        follower = self._function.follower
        if function is not self._function or follower is None or self._kind is None:
            return None
        columns = _columns(given)
        if columns is None or _kind(given) != self._kind:
            return None
        rows = len(columns[0])
        followed = follower.fitting(self._data, columns, rows)
        if followed is None:
            return None
        chunk = Chunk(0, rows, columns, [], [], self._rows.of(rows), 0)
        return lambda: followed.run(chunk, columns)[0]


def _kind(given: tuple[object, ...]) -> object:
    """How arrays are put together; None for what else there is."""
    found: list[int | None] = []
    for part in given:
        if part is None:
            found.append(None)
        elif type(part) is np.ndarray:
            found.append(-1)
        elif type(part) is tuple:
            found.append(len(part))
        else:
            return None
    return found


def _columns(given: tuple[object, ...]) -> list[Array] | None:
    """The arrays, if the core reads them as they are and they have equally many rows."""
    found: list[Array] = []
    for part in given:
        if part is None:
            continue
        for one in part if type(part) is tuple else (part,):
            if type(one) is not np.ndarray or not one.ndim:
                return None
            if not one.flags.c_contiguous:  # types and shapes are looked at with the step
                return None
            found.append(one)
    rows = len(found[0]) if found else 0
    return found if rows and all(len(one) == rows for one in found) else None
