"""`Loop`: many steps in one dispatch, compiled once for each shape of a batch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from densekit._core.types import Array
from densekit._core.variable import Variable
from densekit.engines.jax.columns import Types
from densekit.engines.jax.packing import Packed, Packing
from densekit.engines.jax.placement import Placement
from densekit.engines.jax.rates import StepRates
from densekit.engines.jax.resident import Columns, bucket, pick
from densekit.engines.jax.runs import Run
from densekit.engines.jax.traced import Formula, Made, Traced, shape_of
from densekit.engines.objective import Batch

Counts: TypeAlias = tuple[  # steps; rows that count in each, in the last; or traced
    np.int32 | jax.Array, np.int32 | jax.Array, np.int32 | jax.Array
]
Given: TypeAlias = Sequence[Array | jax.Array]  # packed values
# Batches with an axis of steps in front; or columns, and which of their rows make each step.
Rows: TypeAlias = Batch | tuple[Columns, Array | jax.Array]
_Kept: TypeAlias = tuple[jax.Array, list[jax.Array], list[jax.Array]]
_Carried: TypeAlias = tuple[list[jax.Array], _Kept, list[jax.Array]]


class Ran(NamedTuple):
    """What a dispatch gives; it may still be on its way.

    Attributes:
        state: the new values of what is written, packed.
        losses: of each step or more, as what follows.
        outputs: predictions that were wanted, then their masks.
        amounts: see `traced.Made`.
        last: the same.
    """

    state: Packed
    losses: jax.Array
    outputs: list[jax.Array]
    amounts: list[jax.Array]
    last: list[jax.Array]


class Loop:
    """Runs a step over the batches of a chunk.

    The number of steps is an argument: a loop compiled for a capacity runs any number up to it.

    Args:
        formula: the step.
        first: it, traced for one shape of a batch: tells which variables it reads and writes.
        pads: whether batches may be filled up with rows that do not count.
        placement: where rows and values lie; None: on the default device.
        types: of the columns in the definition.
    """

    def __init__(
        self,
        formula: Formula,
        first: Traced,
        pads: bool,
        placement: Placement | None,
        types: Types,
    ) -> None:
        self._formula = formula
        self._traced: dict[Hashable, Traced] = {first.key: first}
        self._pads, self._types = pads, types
        touched = first.touched
        read = [v for v in touched.read if v not in touched.written]
        self.written = Packing(list(touched.written), placement, counted=False)
        self.read = Packing(read, placement, counted=True)
        self._placement = placement
        places = None
        if placement is not None:
            placement.distribution.check_paths([v.path for v in touched.read])
            whole = placement.whole
            places = Ran._make([self.written.shardings(), whole, whole, whole, whole])
        self._compiled = jax.jit(
            self._run, static_argnums=(4,), donate_argnums=(1,), out_shardings=places
        )
        self._capacities: dict[Hashable, int] = {}  # by shapes of a batch

    def __call__(
        self,
        read: Given,
        written: Given,
        rows: Rows,
        run: Run,
        rates: StepRates,
        wanted: tuple[bool, ...],
    ) -> Ran:
        """The steps of a run.

        Args:
            read: the packed values of what is read only.
            written: of what is written; given away.
            rows: those of the steps, with room for more than the run's.
            run: what they are of.
            rates: those of the chunk.
            wanted: for each output whether its predictions are.
        """
        if self._placement is not None:
            self._placement.begin("run steps")
            read, written = self._placement.copies(read), self._placement.copies(written)
        made: Ran = self._compiled(read, written, rows, rates, wanted, counts_of(run))
        return made

    def capacity(self, steps: int, size: int) -> int:
        """How many steps of so many rows to make room for: as for the longest run so far."""
        key = steps == 1, size
        if steps > self._capacities.get(key, 0):
            self._capacities[key] = bucket(steps)
        return self._capacities[key]

    def _run(
        self,
        read: Sequence[jax.Array],
        written: Sequence[jax.Array],
        rows: Rows,
        rates: StepRates,
        wanted: tuple[bool, ...],
        counts: Counts,
    ) -> Ran:
        """Traced once for each capacity and shape."""
        if isinstance(rows, Batch):
            capacity = len(jax.tree.leaves(rows)[0])
            stacked: Batch = rows

            def batch_at(i: jax.Array) -> Batch:
                at = partial(jax.lax.dynamic_index_in_dim, index=i, keepdims=False)
                picked: Batch = jax.tree.map(at, stacked)
                return picked

        else:
            columns, picks = rows
            capacity = len(picks)

            def batch_at(i: jax.Array) -> Batch:
                chosen = jax.lax.dynamic_index_in_dim(picks, i, keepdims=False)
                return Batch(*pick(columns, chosen, self._types))

        return self.steps(read, written, batch_at, capacity, rates, wanted, counts)

    def steps(
        self,
        read: Sequence[jax.Array],
        written: Sequence[jax.Array],
        batch_at: Callable[[jax.Array], Batch],
        capacity: int,
        rates: StepRates,
        wanted: tuple[bool, ...],
        counts: Counts,
    ) -> Ran:
        """The loop as a formula.

        Args:
            batch_at: gives the rows of a step, by its number.
            capacity: steps to make room for.
        """
        constant = dict(zip(self.read.variables, self.read.unpack(read), strict=True))
        constant = {v: self._cut(v, value) for v, value in constant.items()}
        first = [
            self._cut(v, value)
            for v, value in zip(self.written.variables, self.written.unpack(written), strict=True)
        ]
        steps, full, last = counts
        traced = self.trace(jax.eval_shape(batch_at, np.int32(0)))

        def kept(made: Made) -> _Kept:
            parts = [*zip(made.outputs, wanted, strict=True), *zip(made.masks, wanted, strict=True)]
            outputs = [part for part, want in parts if want and part is not None]
            return made.losses, outputs, made.amounts

        def body(i: jax.Array, carried: _Carried) -> _Carried:
            values, rooms, _ = carried
            given = constant | dict(zip(self.written.variables, values, strict=True))
            real = jnp.where(i == steps - 1, last, full) if self._pads else None
            after, made = traced(given, batch_at(i), real, self._formula.rates.at(given, rates))
            put = partial(jax.lax.dynamic_update_index_in_dim, index=i, axis=0)
            return (
                [self._cut(v, after[v]) for v in self.written.variables],
                jax.tree.map(put, rooms, kept(made)),
                made.last,
            )

        rooms = jax.tree.map(lambda a: jnp.zeros((capacity, *a.shape), a.dtype), kept(traced.made))
        nothing = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), traced.made.last)
        start = first, rooms, nothing
        values, made, of_last = jax.lax.fori_loop(0, steps, body, start)
        losses, outputs, amounts = made
        return Ran(self.written.repack(values), losses, outputs, amounts, of_last)

    def trace(self, batch: Batch) -> Traced:
        """The step for batches of this shape."""
        key = shape_of(batch)
        if key not in self._traced:
            known = [*self.read.variables, *self.written.variables]
            self._traced[key] = Traced(self._formula, known, batch, self._pads)
        return self._traced[key]

    def _cut(self, variable: Variable, value: jax.Array) -> jax.Array:
        return value if self._placement is None else self._placement.cut(variable, value)


def counts_of(run: Run) -> Counts:
    """The numbers of a run that compiled steps are told."""
    return np.int32(run.steps), np.int32(run.full), np.int32(run.last)
