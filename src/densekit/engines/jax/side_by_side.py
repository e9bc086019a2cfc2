"""Runs of many engines by one compiled loop, which `vmap` takes over their numbers."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeAlias

import jax
import numpy as np
import numpy.typing as npt

from densekit._core.engine import Run as RunOfOne
from densekit.engines.jax.columns import Types
from densekit.engines.jax.engine import JaxEngine
from densekit.engines.jax.loop import Counts, Loop, Ran, counts_of
from densekit.engines.jax.numbers import numbers
from densekit.engines.jax.packing import Packing
from densekit.engines.jax.rates import StepRates
from densekit.engines.jax.resident import Columns, pick
from densekit.engines.jax.runs import Run, picks_of, runs_of
from densekit.engines.objective import Batch
from densekit.engines.rounds import one_after_another

_Losses: TypeAlias = npt.NDArray[np.float64]
Results: TypeAlias = list[_Losses | Exception]


class Together:
    """The loop of one engine, for the numbers of many that compute the same formula.

    Args:
        leader: whose loop is traced.
        loop: that loop.
    """

    def __init__(self, leader: JaxEngine, loop: Loop) -> None:
        places = {id(variable): i for i, variable in enumerate(leader.known)}
        self._loop = loop
        self._read = [places[id(v)] for v in loop.read.variables]
        self._written = [places[id(v)] for v in loop.written.variables]
        self._own = self._packings_of(leader)
        self._packings: dict[int, tuple[JaxEngine, Packing, Packing]] = {}
        self._compiled = jax.jit(self._run, static_argnums=(6, 7), donate_argnums=(1,))

    def capacity(self, run: Run) -> int:
        """How many steps to make room for."""
        return self._loop.capacity(run.steps, run.size)

    def packings(self, engine: JaxEngine) -> tuple[Packing, Packing]:
        """Where what an engine reads and writes lies in one row of the packed values."""
        known = self._packings.get(id(engine))
        if known is None:
            known = self._packings[id(engine)] = (engine, *self._packings_of(engine))
        return known[1:]

    def _packings_of(self, engine: JaxEngine) -> tuple[Packing, Packing]:
        read = [engine.known[i] for i in self._read]
        written = [engine.known[i] for i in self._written]
        return (
            Packing(read, None, counted=False, keeps=False),
            Packing(written, None, counted=False, keeps=False),
        )

    def __call__(
        self,
        read: list[npt.NDArray[np.generic]],
        written: list[jax.Array | npt.NDArray[np.generic]],
        columns: Columns,
        picks: npt.NDArray[np.int32],
        rates: StepRates,
        run: Run,
        wanted: tuple[bool, ...],
        types: Types,
    ) -> Ran:
        """As for `Loop`; everything of an engine has an axis of engines in front."""
        made: Ran = self._compiled(
            read, written, columns, picks, rates, counts_of(run), wanted, types
        )
        return made

    def _run(
        self,
        read: Sequence[jax.Array],
        written: Sequence[jax.Array],
        columns: Columns,
        picks: jax.Array,
        rates: StepRates,
        counts: Counts,
        wanted: tuple[bool, ...],
        types: Types,
    ) -> Ran:
        loop, (own_read, own_written) = self._loop, self._own

        def of_one(
            read: list[jax.Array], written: list[jax.Array], picks: jax.Array, rates: StepRates
        ) -> Ran:
            def batch_at(i: jax.Array) -> Batch:
                rows = jax.lax.dynamic_index_in_dim(picks, i, keepdims=False)
                return Batch(*pick(columns, rows, types))

            constant = loop.read.repack(own_read.unpack(read))
            first = loop.written.repack(own_written.unpack(written))
            ran = loop.steps(constant, first, batch_at, len(picks), rates, wanted, counts)
            return ran._replace(state=own_written.repack(loop.written.unpack(ran.state)))

        made: Ran = jax.vmap(of_one)(list(read), list(written), picks, rates)
        return made


def run_together(runs: Sequence[RunOfOne]) -> Results:
    """The runs of a round: those of the same formula and rows at once, others one by one."""
    groups: dict[Hashable, list[int]] = {}
    for i, run in enumerate(runs):
        groups.setdefault(_group_of(run, i), []).append(i)
    results: list[_Losses | Exception | None] = [None] * len(runs)
    for places in groups.values():
        members = [runs[i] for i in places]
        for i, result in zip(places, _run_group(members), strict=True):
            results[i] = result
    return [result for result in results if result is not None]


def _group_of(run: RunOfOne, i: int) -> Hashable:
    """Equal for runs that one loop makes."""
    engine, chunk = run.engine, run.chunk
    if not isinstance(engine, JaxEngine) or engine.signature is None or chunk.source is not None:
        return i
    columns = [*chunk.inputs, *chunk.targets, *chunk.weights]
    room = tuple(part is not None for part in run.predictions)
    rows = chunk.batch_size, chunk.rows, *map(id, columns)
    return engine.signature, run.training, room, rows


def _run_group(runs: Sequence[RunOfOne]) -> Results:
    engines = [run.engine for run in runs if isinstance(run.engine, JaxEngine)]
    leader = next((e for e in engines if e.together is not None), engines[0] if engines else None)
    if leader is None or len(engines) < max(2, len(runs)) or not leader.can_lead(runs[0].chunk):
        return one_after_another(runs)
    try:
        made = _steps(leader, engines, runs)
    except Exception:  # alone, each says what is wrong with it
        return one_after_another(runs)
    return made


def _steps(leader: JaxEngine, engines: Sequence[JaxEngine], runs: Sequence[RunOfOne]) -> Results:
    chunk, n = runs[0].chunk, len(runs)
    # Places for a power of two of engines: as some end, the others are not compiled anew.
    members = [*range(n), *[n - 1] * ((1 << (n - 1).bit_length()) - n)]
    wanted = tuple(room is not None for room in runs[0].predictions)
    with numbers(leader.wide):
        together = leader.together or Together(leader, leader.loop_for(chunk))
        packings = [together.packings(engine) for engine in engines]
        for engine in engines:
            engine.together = together
        rates_of = [engine.rates(chunk.steps) for engine in engines]
        length = max([len(of_steps) for one in rates_of for of_steps, _ in one], default=0)
        rates_of = [[(np.resize(r, length), first) for r, first in one] for one in rates_of]
        rates: StepRates = jax.tree.map(
            lambda *parts: np.stack(parts), *[rates_of[i] for i in members]
        )
        packed = [(read.pack(), written.pack()) for read, written in packings]
        read = [np.stack(part) for part in zip(*[packed[i][0] for i in members], strict=True)]
        state: list[jax.Array | npt.NDArray[np.generic]] = [
            np.stack(part) for part in zip(*[packed[i][1] for i in members], strict=True)
        ]
        found: list[tuple[Run, jax.Array, list[jax.Array]]] = []
        for run in runs_of(chunk, leader.pads, None, whole=True):
            capacity = together.capacity(run)
            own = [picks_of(one.chunk, run, capacity).astype(np.int32) for one in runs]
            picks = np.stack([own[i] for i in members])
            columns, types = leader.resident.columns, leader.resident.layout.types
            made = together(read, state, columns, picks, rates, run, wanted, types)
            state = list(made.state)
            found.append((run, made.losses, made.outputs))
        after = [np.asarray(flat) for flat in state]
        losses = [np.asarray(part, np.float64)[:, : run.steps] for run, part, _ in found]
        outputs = [[np.asarray(y) for y in ys] for _, _, ys in found]
    results: Results = []
    whole = np.concatenate(losses, axis=1)
    for m, (run_of_one, engine, (_, written)) in enumerate(
        zip(runs, engines, packings, strict=True)
    ):
        written.assign([flat[m] for flat in after])
        rows = [(run, [y[m] for y in ys]) for (run, _, _), ys in zip(found, outputs, strict=True)]
        try:
            engine.put(rows, run_of_one.predictions)
        except Exception as error:
            results.append(error)
        else:
            results.append(whole[m])
    return results
