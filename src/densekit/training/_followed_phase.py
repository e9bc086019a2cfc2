"""One update of a followed step, as a plan that trains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from densekit._core.engine import Chunk, Engine
from densekit._core.engine_kind import EngineKind
from densekit._core.own_step import StepSource, StepTerm
from densekit._core.plan import NotLowerable
from densekit._core.types import Array, Real
from densekit.engines.following import Followed
from densekit.ops import KerasTensor
from densekit.training._picks import AllRows
from densekit.training._step_data import rows_of
from densekit.training._step_phases import Phase
from densekit.training._step_values import RowLoss, ends_of, sizes_of, weights_of

_ROWS = AllRows()


class FollowedPhase:
    """Makes one update.

    Args:
        phase: what leads to it.
        data: the columns of the data, as symbols.
        floatx: what it computes in.
        kind: what makes its engine.

    Raises:
        NotLowerable: if not all of it has a native form.
    """

    def __init__(
        self,
        phase: Phase,
        data: Sequence[KerasTensor],
        floatx: str,
        kind: EngineKind,
    ) -> None:
        update = phase.update
        self.loss, self.optimizer, self.variables = update.loss, update.optimizer, update.variables
        self.batches = phase.batches
        self.ends: list[RowLoss] = ends_of(update.loss)
        self._floatx = floatx
        places = {id(x): i for i, x in enumerate(data)}
        rows = [end.rows for end in self.ends]
        self.outputs = list({id(x): x for x in [*rows, *phase.exports]}.values())
        self.places = {id(x): i for i, x in enumerate(self.outputs)}
        graph = Followed([], self.outputs, [*phase.nodes.values()], [None] * len(self.outputs), [])
        needed = graph.needed_nodes()
        graph.nodes = needed
        read = {id(x) for node in needed for x in node.input_tensors} | {*map(id, self.outputs)}
        graph.inputs = [x for x in phase.inputs if id(x) in read]
        if not graph.inputs:  # what is drawn alone is drawn for the rows of something
            graph.inputs = [data[0]]
        graph.inputs.sort(key=lambda x: places.get(id(x), len(places)))
        self._read = [(x, places.get(id(x), -1)) for x in graph.inputs]
        exported = {*map(id, phase.exports)}
        self.kept = [(i, x) for i, x in enumerate(self.outputs) if id(x) in exported]
        # Targets, and weights of samples, by the output that they belong to.
        self._compared: dict[int, tuple[int, int, KerasTensor | None]] = {}
        for end in self.ends:
            if end.loss is not None:
                given = end.target, end.weights, end.made
                known = self._compared.setdefault(self.places[id(end.rows)], given)
                if known[:2] != given[:2] or known[2] is not given[2]:
                    raise NotLowerable("one output is compared with several targets")
        made = [x for x, place in self._read if place < 0]
        made += [x for _, _, x in self._compared.values() if x is not None]
        # Whether it reads rows that are no rows of the data, which lie in an array of their own.
        self.gathers = bool(made) or self.batches > 1
        if self.gathers and any(weights >= 0 for _, weights, _ in self._compared.values()):
            raise NotLowerable("its samples have weights, and rows that it makes")
        kind_of = np.dtype(floatx).type
        weights = weights_of(update.loss, kind_of(1))
        terms = [
            StepTerm(self.places[id(e.rows)], e.reduction, e.loss, float(weights[id(e)]))
            for e in self.ends
        ]
        source = StepSource(graph, terms, floatx, update.variables, update.optimizer)
        engine = kind.own_step(source)
        if engine is None:
            raise NotLowerable(f"the engine {kind.name!r} does not make it")
        self.engine: Engine = engine

    @property
    def bytes_of_row(self) -> int:
        """Of what is handed on."""
        return 8 * sum(math.prod(sizes_of(x)) for _, x in self.kept)

    def train(self, chunk: Chunk, columns: Sequence[Array]) -> tuple[Array, list[Array | None]]:
        """Make the updates of a chunk: their losses, and the outputs that are handed on."""
        targets: list[Array | None] = [None] * len(self.outputs)
        weights: list[Array | None] = [None] * len(self.outputs)
        for place, (target, weight, _) in self._compared.items():
            targets[place] = columns[target]
            weights[place] = None if weight < 0 else columns[weight]
        inputs = [columns[place] for _, place in self._read]
        return self._run(chunk._replace(inputs=inputs, targets=targets, weights=weights))

    def train_one(
        self, step: Chunk, columns: Sequence[Array], values: dict[int, Array]
    ) -> Mapping[int, Real]:
        """Make the update of one step: its losses, by id; what is handed on goes to `values`.

        Args:
            values: rows that were made before, by the ids of their symbols.
        """
        if self.gathers:
            targets: list[Array | None] = [None] * len(self.outputs)
            for place, (target, _, made) in self._compared.items():
                own = made is None
                targets[place] = self._rows(columns[target], step) if own else values[id(made)]
            inputs = [
                values[id(x)] if place < 0 else self._rows(columns[place], step)
                for x, place in self._read
            ]
            count = step.rows * self.batches
            given = Chunk(
                step.first_step, count, inputs, targets, [None] * len(targets), _ROWS.of(count), 0
            )
            losses, rooms = self._run(given)
        else:
            losses, rooms = self.train(step, columns)
        for i, x in self.kept:
            room = rooms[i]
            assert room is not None
            values[id(x)] = room.reshape(len(room), *sizes_of(x))
        return {id(end): loss for end, loss in zip(self.ends, losses[0], strict=True)}

    def _rows(self, column: Array, step: Chunk) -> Array:
        return rows_of(column, step, self._floatx)

    def _run(self, chunk: Chunk) -> tuple[Array, list[Array | None]]:
        rooms: list[Array | None] = [None] * len(self.outputs)
        for i, x in self.kept:
            rooms[i] = np.empty((chunk.rows, math.prod(sizes_of(x))), self._floatx)
        return self.engine.train(chunk, rooms)[:, 1:].astype(self._floatx), rooms
