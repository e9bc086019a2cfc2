"""Calls of a followed step between the plans of its updates.

Python makes them. Those in a row that compute, or draw, rows of as many batches are a plan of their
own, if they have a native form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from densekit._core import tree
from densekit._core.engine import Chunk, Engine
from densekit._core.engine_kind import EngineKind
from densekit._core.own_step import StepSource
from densekit._core.plan import NotLowerable
from densekit._core.types import Array
from densekit.engines.following import Followed
from densekit.ops import KerasTensor
from densekit.ops._symbolic import Node
from densekit.training._picks import AllRows
from densekit.training._step_data import rows_of
from densekit.training._step_values import BatchSize, Made, sizes_of

_ROWS = AllRows()
Lookup: TypeAlias = Callable[[KerasTensor], Array]  # the rows of a symbol


class MadeByPython:
    """Makes some calls, one after another.

    Args:
        calls: with symbols in the places of tensors.
        data: the columns of the data, as symbols.
        node_of: the node that made a symbol; None: it is none of a graph.
        batches_of: how many batches were joined in a symbol.
        floatx, kind: what is computed in, and by.
    """

    def __init__(
        self,
        calls: Sequence[Made],
        data: Sequence[KerasTensor],
        node_of: Callable[[KerasTensor], Node | None],
        batches_of: Callable[[KerasTensor], int],
        floatx: str,
        kind: EngineKind,
    ) -> None:
        self.calls = calls
        self._columns = {id(x): i for i, x in enumerate(data)}
        self._floatx, self._kind = floatx, kind
        self._parts: list[_Plan | Made] = []
        group: list[tuple[Made, Node]] = []
        batches = 1

        def close() -> None:
            if group:
                self._parts += self._plan([*group], batches, data)
                group.clear()

        for call in calls:
            node = node_of(call.results[0])
            own = batches_of(call.results[0])
            if node is None or (group and own != batches):
                close()
            if node is None:
                self._parts.append(call)
            else:
                group.append((call, node))
                batches = own
        close()

    def _plan(
        self, group: Sequence[tuple[Made, Node]], batches: int, data: Sequence[KerasTensor]
    ) -> list[_Plan | Made]:
        """Some calls as a plan; the calls if they have none."""
        calls, nodes = zip(*group, strict=True)
        try:
            return [_Plan(calls, nodes, batches, data[0], self._floatx, self._kind)]
        except NotLowerable:
            return list(calls)

    def make(self, step: Chunk, columns: Sequence[Array], values: dict[int, Array]) -> None:
        """Make them for the rows of a step; what they give goes to `values`, by ids of symbols."""

        def rows(x: KerasTensor) -> Array:
            place = self._columns.get(id(x))
            return values[id(x)] if place is None else rows_of(columns[place], step, self._floatx)

        def value(leaf: object) -> object:
            if isinstance(leaf, KerasTensor):
                return rows(leaf)
            return step.rows * leaf.batches if isinstance(leaf, BatchSize) else leaf

        for part in self._parts:
            if isinstance(part, _Plan):
                part.make(step, rows, values)
                continue
            args, kwargs = tree.map_structure(value, (list(part.args), dict(part.kwargs)))
            results = tree.flatten(part.function(*args, **kwargs))
            for symbol, result in zip(part.results, results, strict=False):
                values[id(symbol)] = np.ascontiguousarray(result)


class _Plan:
    """Some calls by an engine.

    Args:
        calls: what they give.
        nodes: the same, of a graph.
        batches: how many are joined in their rows.
        rows: a column for what is drawn alone.
    """

    def __init__(
        self,
        calls: Sequence[Made],
        nodes: Sequence[Node],
        batches: int,
        rows: KerasTensor,
        floatx: str,
        kind: EngineKind,
    ) -> None:
        outputs = list({id(x): x for call in calls for x in call.results}.values())
        own = {id(x) for node in nodes for x in node.outputs}
        read = {id(x): x for node in nodes for x in node.input_tensors if id(x) not in own}
        self._inputs = [*read.values()] or [rows]
        self._is_counted_by = not read and batches > 1  # rows that nobody reads
        self._batches = batches
        graph = Followed(self._inputs, outputs, list(nodes), [None] * len(outputs), [])
        engine = kind.own_step(StepSource(graph, [], floatx, [], None))
        if engine is None or any(y.dtype != floatx for y in engine.outputs):
            raise NotLowerable("the engine does not make it")
        self._outputs, self._engine, self._floatx = outputs, engine, floatx

    def make(self, step: Chunk, rows: Lookup, values: dict[int, Array]) -> None:
        """Make them: see `MadeByPython.make`."""
        engine: Engine = self._engine
        count = step.rows * self._batches
        inputs = [rows(x) for x in self._inputs]
        if self._is_counted_by:
            inputs = [np.concatenate(inputs * self._batches)]
        rooms: list[Array | None] = [
            np.empty((count, math.prod(sizes_of(x))), self._floatx) for x in self._outputs
        ]
        engine.evaluate(Chunk(step.first_step, count, inputs, [], [], _ROWS.of(count), 0), rooms)
        for x, room in zip(self._outputs, rooms, strict=True):
            assert room is not None
            values[id(x)] = room.reshape(count, *sizes_of(x))
