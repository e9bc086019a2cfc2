"""`Loop`: many steps in one dispatch, compiled once for each shape of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from densekit._core import tree
from densekit._core.variable import Variable
from densekit.engines.jax.packing import Packed, Packing
from densekit.engines.jax.placement import Placement
from densekit.engines.jax.rates import Told
from densekit.engines.jax.runs import Run
from densekit.engines.jax.steps import Step, Touched
from densekit.engines.objective import Batch

Counts: TypeAlias = tuple[Any, Any, Any]  # steps; rows that count in each, in the last; or traced
Made: TypeAlias = tuple[Packed, jax.Array, list[jax.Array]]


class Loop:
    """Runs a step over the batches of a chunk.

    The number of steps is an argument: a loop compiled for a capacity runs any number up to it.

    Args:
        step: what to run.
        touched: the variables it reads and writes.
        pads: whether batches may be filled up with rows that do not count.
        placement: where rows and values lie; None: on the default device.
    """

    def __init__(
        self, step: Step, touched: Touched, pads: bool, placement: Placement | None
    ) -> None:
        self._step = step
        self._pads = pads
        read = [v for v in touched.read if v not in touched.written]
        self.written = Packing(list(touched.written), placement, counted=False)
        self.read = Packing(read, placement, counted=True)
        self._placement = placement
        places: dict[str, Any] = {}
        if placement is not None:
            placement.distribution.check_paths([v.path for v in touched.read])
            places["out_shardings"] = self.written.shardings(), placement.whole, placement.whole
        self._compiled = jax.jit(self._run, static_argnums=(4,), donate_argnums=(1,), **places)
        self._capacities: dict[Any, int] = {}  # by shapes of a batch

    def __call__(
        self,
        read: Sequence[Any],
        written: Sequence[Any],
        batches: Batch,
        run: Run,
        rates: Told,
        wanted: tuple[bool, ...],
    ) -> Made:
        """New values of what is written; for each step, or more, losses, predictions and masks.

        The results may still be on their way.

        Args:
            read: the packed values of what is read only.
            written: of what is written; given away.
            batches: arrays with an axis of steps in front, with room for more than the run's.
            run: what they are of.
            rates: those of the chunk.
            wanted: for each output whether its predictions are.
        """
        if self._placement is not None:
            read, written = self._placement.copies(read), self._placement.copies(written)
        made: Made = self._compiled(read, written, batches, rates, wanted, counts_of(run))
        return made

    def capacity(self, steps: int, size: int) -> int:
        """How many steps of so many rows to make room for: as for the longest run so far."""
        key = steps == 1, size
        self._capacities[key] = max(self._capacities.get(key, 0), steps)
        return self._capacities[key]

    def _run(
        self,
        read: Sequence[jax.Array],
        written: Sequence[jax.Array],
        batches: Batch,
        rates: Told,
        wanted: tuple[bool, ...],
        counts: Counts,
    ) -> Made:
        """Traced once for each capacity and shape."""
        capacity = len(jax.tree.leaves(batches)[0])

        def batch_at(i: jax.Array) -> Batch:
            pick = partial(jax.lax.dynamic_index_in_dim, index=i, keepdims=False)
            picked: Batch = jax.tree.map(pick, batches)
            return picked

        return self.steps(read, written, batch_at, capacity, rates, wanted, counts)

    def steps(
        self,
        read: Sequence[jax.Array],
        written: Sequence[jax.Array],
        batch_at: Callable[[jax.Array], Batch],
        capacity: int,
        rates: Told,
        wanted: tuple[bool, ...],
        counts: Counts,
    ) -> Made:
        """The loop as a formula: new values, and for each step losses, predictions and masks.

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

        @partial(jax.jit, inline=True)  # so that it is traced once for the shapes and the loop
        def one(i: Any, values: list[Any]) -> tuple[list[Any], Any, list[Any]]:
            given = constant | dict(zip(self.written.variables, values, strict=True))
            real = jnp.where(i == steps - 1, last, full) if self._pads else None
            after, results = self._step(given, batch_at(i), real, rates)
            losses = jnp.stack([jnp.asarray(x) for x in (results.total, *results.singles)])
            outputs = zip(tree.flatten(results.outputs), wanted, strict=True)
            masks = zip(results.masks, wanted, strict=True)
            return (
                [self._cut(v, after[v]) for v in self.written.variables],
                losses,
                [jnp.asarray(y) for y, want in outputs if want]
                + [jnp.asarray(mask) for mask, want in masks if want and mask is not None],
            )

        shapes = jax.eval_shape(one, np.int32(0), first)[1:]
        rooms = jax.tree.map(lambda a: jnp.zeros((capacity, *a.shape), a.dtype), shapes)

        def body(i: Any, carried: Any) -> Any:
            values, kept = carried
            values, *made = one(i, values)
            put = partial(jax.lax.dynamic_update_index_in_dim, index=i, axis=0)
            return values, jax.tree.map(put, kept, tuple(made))

        values, (losses, outputs) = jax.lax.fori_loop(0, steps, body, (first, rooms))
        return self.written.repack(values), losses, outputs

    def _cut(self, variable: Variable, value: Any) -> Any:
        return value if self._placement is None else self._placement.cut(variable, value)


def counts_of(run: Run) -> Counts:
    """The numbers of a run that compiled steps are told."""
    return np.int32(run.steps), np.int32(run.full), np.int32(run.last)
