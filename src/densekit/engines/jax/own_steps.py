"""Steps that users wrote, many in a dispatch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from densekit._core import settings, tree
from densekit._core.engine import Chunk
from densekit._core.errors import message
from densekit._core.types import Array
from densekit._core.variable import Variable
from densekit.engines.jax.columns import Layout, dtype_of
from densekit.engines.jax.loop import Loop
from densekit.engines.jax.marks import Place
from densekit.engines.jax.numbers import numbers
from densekit.engines.jax.placement import Placement, all_processes, present
from densekit.engines.jax.rates import Rates
from densekit.engines.jax.resident import Resident
from densekit.engines.jax.resolved import Resolved
from densekit.engines.jax.runs import Run, gathered, picks_of, runs_of
from densekit.engines.jax.scopes import Given, Values
from densekit.engines.jax.shards import agreed_on_steps
from densekit.engines.jax.tapes import Enough, Tapes
from densekit.engines.jax.traced import Made, Touched, traced_whole
from densekit.engines.kinds import inside
from densekit.engines.objective import Batch

if TYPE_CHECKING:
    from densekit._core.engine_kind import EngineKind
    from densekit._core.own_step import OwnSteps


class OwnStep:
    """A step of a user as a formula, with the tapes in it.

    Args:
        kind: what models inside run on.
        steps: what the user wrote.
    """

    def __init__(self, kind: EngineKind, steps: OwnSteps) -> None:
        self._kind, self._steps = kind, steps
        self.rates = Rates(None)
        self.results: object = None  # in the structure of what it returns
        self._is_whole = True  # whether the latest trace came to the end

    def __call__(
        self,
        values: dict[Variable, jax.Array],
        batch: Batch,
        real: jax.Array | None,
        rates: Sequence[jax.Array],
        touched: Touched,
    ) -> tuple[Given, Made]:
        """A step: see `Formula`."""
        given = list(values.values()), batch.inputs
        unconnected: set[Place] = set()
        try:
            resolved = self._resolved(values, batch, touched, unconnected, None)
            more = resolved.unconnected()
            while more:
                unconnected |= more
                resolved = self._resolved(values, batch, touched, unconnected, None)
                more = resolved.unconnected()
        except Exception:
            # The step may look at which gradients are None: that is found out for one request
            # after the other.
            resolved = self._resolved_by_requests(values, batch, touched)
        leaves = resolved(*jax.tree.leaves(given))
        known = list(values)
        made = Made(jnp.zeros(0), [], [], [], leaves[len(known) :])
        return dict(zip(known, leaves, strict=False)), made

    def _resolved_by_requests(self, values: Given, batch: Batch, touched: Touched) -> Resolved:
        unconnected: set[Place] = set()
        last = 1
        while True:
            self._is_whole = True
            resolved = self._resolved(values, batch, touched, unconnected, last)
            if self._is_whole:
                return resolved
            unconnected |= resolved.unconnected()
            last += 1

    def _resolved(
        self,
        values: Given,
        batch: Batch,
        touched: Touched,
        unconnected: set[Place],
        last: int | None,
    ) -> Resolved:
        """The step, traced up to a request for gradients."""
        known = list(values)

        def traced(given: list[jax.Array], columns: list[jax.Array]) -> list[jax.Array]:
            scope = Values(dict(zip(known, given, strict=True)), touched, collect_losses=True)
            scope.tapes = Tapes(scope.get_current_value, scope.values, unconnected, last)
            with inside(self._kind), scope:
                try:
                    self.results = self._steps.call(self._steps.data(columns))
                except Enough:
                    self._is_whole = False
                    return []
                leaves = [jnp.asarray(leaf) for leaf in tree.flatten(self.results)]
            return [*scope.values().values(), *leaves]

        return Resolved(jax.make_jaxpr(traced)(list(values.values()), batch.inputs))


class OwnLoop:
    """Runs the steps of chunks.

    Args:
        kind: what models inside run on.
        steps: what the user wrote.
    """

    def __init__(self, kind: EngineKind, steps: OwnSteps) -> None:
        self._step = OwnStep(kind, steps)
        self._steps = steps
        self._known = list(dict.fromkeys(steps.variables))
        self._wide = any(v.dtype == "float64" for v in self._known)
        self._wide = self._wide or settings.floatx() == "float64"
        self._loop: Loop | None = None
        self._resident: Resident | None = None
        self._columns: list[Array] = []
        self._placement: Placement | None = None

    def prepare(self, chunk: Chunk) -> None:
        """Trace the steps for each shape of a batch in a chunk."""
        chunk = self._with_columns(chunk)
        self._place()
        with numbers(self._wide), all_processes(_NAME):
            resident, loop = self._made_for(chunk)
            for run in {run.size: run for run in runs_of(chunk, False, None, whole=True)}.values():
                loop.trace(_first_of(chunk, run, resident.layout))

    def run(self, chunk: Chunk) -> object:
        """The steps of a chunk; what the last one returned."""
        chunk = self._with_columns(chunk)
        self._place()
        with numbers(self._wide), all_processes(_NAME):
            resident, loop = self._made_for(chunk)
            is_there = self._placement is None and resident.takes(chunk)
            state: list[Array | jax.Array] | None = None
            last: list[jax.Array] = []
            try:
                for run in runs_of(chunk, False, self._placement, whole=is_there):
                    picks = picks_of(chunk, run, loop.capacity(run.steps, run.size))
                    layout = resident.layout
                    rows = (
                        (resident.columns, picks.astype(np.int32))
                        if is_there
                        else gathered(chunk, picks, layout, self._placement)
                    )
                    if state is None:
                        read, state = loop.read.pack(), loop.written.give_away()
                    ran = loop(read, state, rows, run, (), ())
                    state, last = [*ran.state], ran.last
            finally:
                if state is not None:
                    loop.written.assign(state)
            return tree.pack_as(self._step.results, [np.asarray(leaf)[()] for leaf in last])

    def forget_data(self) -> None:
        """The data set that chunks came from is done with."""
        self._columns = []
        if self._resident is not None:
            self._resident.forget()

    def _with_columns(self, chunk: Chunk) -> Chunk:
        """The chunk with its columns in a list that stays the same as long as they do."""
        given, known = chunk.inputs, self._columns
        if len(given) != len(known) or not all(a is b for a, b in zip(given, known, strict=True)):
            self._columns = given
        return chunk._replace(inputs=self._columns, targets=_NONE, weights=_NONE)

    def _made_for(self, chunk: Chunk) -> tuple[Resident, Loop]:
        types = [dtype_of(column, self._wide) for column in chunk.inputs]
        dtypes = tuple(t for t in types if t is not None)
        if len(dtypes) < len(types):
            raise TypeError(
                message("a compiled step", "columns of numbers", "one of text", "Encode it before.")
            )
        if self._resident is None or self._resident.layout.inputs != dtypes:
            self._resident = Resident(Layout(dtypes, (), settings.floatx()))
            self._loop = None
        if self._loop is None:
            layout = self._resident.layout
            batch = _first_of(chunk, runs_of(chunk, False, None, whole=True)[0], layout)
            first = traced_whole(self._step, self._known, batch, False)
            if self._placement is not None:
                agreed_on_steps(_NAME, chunk, first.touched.read)
            self._loop = Loop(self._step, first, False, self._placement, layout.types)
        return self._resident, self._loop

    def _place(self) -> None:
        """Compile anew if another distribution was set."""
        known = None if self._placement is None else self._placement.distribution
        if settings.get("distribution") is not known:
            self._placement, self._loop = present(), None


def _first_of(chunk: Chunk, run: Run, layout: Layout) -> Batch:
    """The rows of the first step of a run."""
    first = run._replace(rows=run.full, steps=1)
    rows = gathered(chunk, picks_of(chunk, first, 1), layout, None)
    batch: Batch = jax.tree.map(lambda column: column[0], rows)
    return batch


_NAME = "a step of its own"
_NONE: list[Array | None] = []
