"""Calls of a followed step that Python makes, between the plans of its updates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from densekit._core import tree
from densekit._core.engine import Chunk
from densekit._core.types import Array
from densekit.ops import KerasTensor
from densekit.training._step_data import rows_of
from densekit.training._step_values import BatchSize, Made


class MadeByPython:
    """Makes some calls, one after another.

    Args:
        calls: with symbols in the places of tensors.
        data: the columns of the data, as symbols.
    """

    def __init__(self, calls: Sequence[Made], data: Sequence[KerasTensor]) -> None:
        self.calls = calls
        self._columns = {id(x): i for i, x in enumerate(data)}

    def make(
        self, step: Chunk, columns: Sequence[Array], floatx: str, values: dict[int, Array]
    ) -> None:
        """Make them for the rows of a step; what they give goes to `values`, by ids of symbols."""

        def value(leaf: object) -> object:
            if isinstance(leaf, KerasTensor):
                place = self._columns.get(id(leaf))
                return values[id(leaf)] if place is None else rows_of(columns[place], step, floatx)
            return step.rows * leaf.batches if isinstance(leaf, BatchSize) else leaf

        for call in self.calls:
            args, kwargs = tree.map_structure(value, (list(call.args), dict(call.kwargs)))
            results = tree.flatten(call.function(*args, **kwargs))
            for symbol, result in zip(call.results, results, strict=False):
                values[id(symbol)] = np.ascontiguousarray(result)
