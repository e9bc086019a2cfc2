"""`JaxEngine`: many steps by one call of a compiled loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
import numpy.typing as npt

from densekit._core import settings
from densekit._core.dtypes import data_dtype
from densekit._core.engine import Array, Chunk, Index, LossTerm, Measure, Source
from densekit._core.errors import message
from densekit._core.variable import Variable
from densekit.engines.exact import goes_beside
from densekit.engines.host import definition_dtype
from densekit.engines.jax.columns import Layout, name_of, needs_64_bits
from densekit.engines.jax.loop import Loop, Ran, Rows
from densekit.engines.jax.measured import Measured, may_be_traced
from densekit.engines.jax.numbers import numbers
from densekit.engines.jax.placement import Placement, all_processes, present
from densekit.engines.jax.predictor import Predictor
from densekit.engines.jax.rates import StepRates
from densekit.engines.jax.resident import Resident
from densekit.engines.jax.runs import Run, gathered, picks_of, runs_of
from densekit.engines.jax.shards import agreed_on_steps
from densekit.engines.jax.signature import signature_of
from densekit.engines.jax.steps import Step
from densekit.engines.jax.traced import traced_whole
from densekit.engines.objective import Batch, counts_rows
from densekit.engines.plan import PlanBuilder
from densekit.engines.rows import PredictsRows

if TYPE_CHECKING:
    from densekit._core.engine_kind import EngineKind
    from densekit.engines.jax.side_by_side import Together

_MOST_ROWS = 1 << 16  # of one call that predicts
# Work and rows of a chunk. After each, weights come back and the host looks at losses, which takes
# some milliseconds for some megabytes; Ctrl-C waits for its end. About a second at 100 GFLOP/s
# of two cores, or at 10 TFLOP/s of other devices.
_CHUNK_FLOPS = {"cpu": 1e11}
_CHUNK_FLOPS_ELSEWHERE = 1e13
_CHUNK_ROWS = 1 << 20


class Looped(NamedTuple):
    """A compiled loop, and the metrics in it."""

    loop: Loop
    measured: Measured | None


class JaxEngine(PredictsRows):
    """A model, traced.

    Args:
        kind: what models inside run on.
        source: the model.
        plan: what it was found to give.
        trainable: variables to train, in the optimizer's order.
        losses: what to minimise.
        optimizer: a built optimizer; None unless it trains.
    """

    has_host_nodes = False

    def __init__(
        self,
        kind: EngineKind,
        source: Source,
        plan: PlanBuilder,
        trainable: Sequence[Variable],
        losses: Sequence[LossTerm],
        optimizer: Any,
    ) -> None:
        self._kind = kind
        self.dtype = source.dtype
        self.outputs = plan.outputs
        self.n_losses = len(losses)
        self.needs_batches = plan.needs_batches
        self.writes_weights = plan.writes_weights
        self.adds_losses = plan.adds_losses
        self.exact_predictions: list[Array | None] = []  # of the latest run, by output
        self.prediction_masks: list[Array | None] = []  # the same
        self._masked = [mask is not None for mask in plan.masks] or [False] * len(plan.outputs)
        self.has_masks = any(self._masked)
        self._name = source.name
        self._definition = source.definition
        self._inputs = [definition_dtype(kind, self.dtype) for _, kind in source.inputs]
        self._step = Step(kind, source.definition, trainable, losses, optimizer)
        known = [*source.variables, *source.state, *trainable]
        if optimizer is not None:
            known += [*optimizer._trainable_variables, *optimizer.variables]
        self.known = list(dict.fromkeys(known))
        self.wide = self.dtype == "float64" or any(v.dtype == "float64" for v in self.known)
        counted = all(counts_rows(t.loss) for t in losses) and not self.has_masks
        self.pads = _keeps_rows_apart(plan) and counted
        self.flops_per_sample = 2 * sum(v.size for v in source.variables)
        self._loops: dict[Hashable, Looped] = {}  # by the metrics in them, and what these are given
        self._next: Looped | None = None  # what the next run is made by, if not by the bare loop
        self._predictor: Predictor | None = None
        self._placement: Placement | None = None
        self._narrow: Sequence[Array] | None = None  # columns that were found to fit 32 bits
        inputs = tuple(map(name_of, self._inputs))
        losses_of = tuple(term.output for term in losses)
        self.resident = Resident(Layout(inputs, losses_of, self.dtype))
        self._made_from = source, plan, trainable, losses, optimizer
        self.together: Together | None = None  # with others that compute the same formula

    @cached_property
    def signature(self) -> Hashable | None:
        """Equal for engines of the same formula; None if only tracing it would tell."""
        source, plan, trainable, losses, optimizer = self._made_from
        return signature_of(source, plan, self.known, trainable, losses, optimizer)

    @property
    def chunk_rows(self) -> float:
        """How many rows keep it busy between two turns of metrics, progress bar and Ctrl-C."""
        flops = _CHUNK_FLOPS.get(jax.default_backend(), _CHUNK_FLOPS_ELSEWHERE)
        return min(_CHUNK_ROWS, flops / max(3 * self.flops_per_sample, 1))

    @property
    def added_losses(self) -> bool:
        """Whether a layer in it adds losses, or has done so in a call."""
        predicting = self._predictor is not None and self._predictor.added_losses
        return self.adds_losses or self._step.added_losses or predicting

    # Steps

    def train(self, chunk: Chunk, predictions: list[Array | None]) -> npt.NDArray[np.float64]:
        """Steps on the picked rows of a chunk, in order: see `Engine.train`."""
        wanted = tuple(room is not None for room in predictions)
        found: list[tuple[Run, Ran]] = []
        self._place()
        self._widen(chunk)
        with numbers(self.wide), all_processes(self._name):
            looped, self._next = self._next or self._looped(chunk, ()), None
            loop, measured = looped
            state: list[Array | jax.Array] | None = None
            rates = self._step.rates.of(chunk.steps)
            try:
                is_there = self._placement is None and self.resident.takes(chunk)
                for run in self._runs(chunk, is_there):
                    picks = picks_of(chunk, run, loop.capacity(run.steps, run.size))
                    rows = self._rows(chunk, picks, is_there)
                    if state is None:
                        read, state = loop.read.pack(), loop.written.give_away()
                    ran = loop(read, state, rows, run, rates, wanted)
                    state = [*ran.state]
                    found.append((run, ran))
            finally:
                if state is not None:
                    loop.written.assign(state)
            losses = [np.asarray(ran.losses, np.float64)[: run.steps] for run, ran in found]
            self.put([(run, ran.outputs) for run, ran in found], predictions)
            if measured is not None:
                for run, ran in found:
                    measured.add(ran.amounts, run.steps)
                    if ran.last and run.last < run.size:
                        measured.add_last(chunk, run.last, ran.last, self._masked)
        return np.concatenate(losses) if losses else np.empty((0, 1 + self.n_losses))

    evaluate = train  # no optimizer, no training

    def take_along(self, measures: Sequence[Measure], chunk: Chunk) -> Sequence[Measure]:
        """Metrics that are written on `ops`, or on JAX, and keep nothing in Python."""
        self._place()
        self._widen(chunk)
        self._next, often = None, Counter(id(m.metric) for m in measures)
        wanted = [m for m in measures if often[id(m.metric)] == 1 and may_be_traced(m.metric)]
        size = chunk.batch_size
        fits = self._placement is None or self._placement.fitting(size) == size
        if not (wanted and fits and chunk.rows):
            return ()
        with numbers(self.wide), all_processes(self._name):
            looped = self._looped(chunk, wanted)
        if looped.measured is not None and looped.measured.taken:
            self._next = looped
            return looped.measured.taken
        return ()

    def _runs(self, chunk: Chunk, is_there: bool) -> list[Run]:
        return runs_of(chunk, self.pads, self._placement, whole=is_there)

    def _rows(self, chunk: Chunk, picks: Index, is_there: bool) -> Rows:
        """The picked rows, or where they are picked."""
        if is_there:
            return self.resident.columns, picks.astype(np.int32)
        return gathered(chunk, picks, self.resident.layout, self._placement)

    def forget_data(self) -> None:
        """The data set that chunks came from is done with: its copy on the device goes."""
        self._narrow = None
        self.resident.forget()

    def _widen(self, chunk: Chunk) -> None:
        """`_widen_for` the columns of a chunk; those of a data set are looked at once."""
        if chunk.inputs is not self._narrow:
            self._widen_for(chunk.inputs)
            is_data_set = chunk.source is None and chunk.batch_size < max(map(len, chunk.inputs))
            self._narrow = chunk.inputs if is_data_set else None

    def _widen_for(self, inputs: Sequence[Array]) -> None:
        """Compute with 64 bits from now on if a column of whole numbers needs them."""
        if not self.wide and any(map(needs_64_bits, inputs)):
            self.wide = True
            self.resident.forget()

    # With others

    def can_lead(self, chunk: Chunk) -> bool:
        """Whether its loop can run the steps of others, too."""
        self._place()
        self._widen(chunk)
        with numbers(self.wide):
            return self._placement is None and self.resident.takes(chunk, single=True)

    def loop_for(self, chunk: Chunk) -> Loop:
        """The compiled loop, without metrics."""
        return self._looped(chunk, ()).loop

    def rates(self, steps: int) -> StepRates:
        """The learning rates of some steps to come."""
        return self._step.rates.of(steps)

    def _looped(self, chunk: Chunk, measures: Sequence[Measure]) -> Looped:
        """The compiled loop, for the variables that the step touches, with these metrics."""
        layout = self.resident.layout.with_measures(measures, chunk, self.wide)
        if layout is None:
            return self._looped(chunk, ())
        if layout.measured or measures:
            self.resident.layout = layout
        of_metrics = [(m.output, id(m.metric), m.weighted) for m in measures]
        given = [column is None for column in (*chunk.targets, *chunk.weights)] if measures else []
        key = *of_metrics, layout.measured if measures else (), *given
        if key not in self._loops:
            self._loops[key] = self._new_loop(chunk, measures)
        return self._loops[key]

    def _new_loop(self, chunk: Chunk, measures: Sequence[Measure]) -> Looped:
        layout, step, known, measured = self.resident.layout, self._step, self.known, None
        if measures:
            own = [data_dtype(output.dtype) for output in self.outputs]
            floats = np.dtype(self.dtype)
            dtypes = [name_of(t if goes_beside(t, floats) else floats) for t in own]
            measured = Measured(measures, layout, chunk, dtypes, self.wide)
            step = step.with_metrics(measured)
            known = list(dict.fromkeys([*known, *measured.variables]))
        run = self._runs(chunk, True)[0]
        first_step = run._replace(rows=min(run.rows, run.full), steps=1)
        trial = gathered(chunk, picks_of(chunk, first_step, 1), layout, None)
        batch: Batch = jax.tree.map(lambda column: column[0], trial)
        first = traced_whole(step, known, batch, self.pads)
        if self._placement is not None:
            agreed_on_steps(self._name, chunk, first.touched.read)
        return Looped(Loop(step, first, self.pads, self._placement, layout.types), measured)

    def _place(self) -> None:
        """Compile anew if another distribution was set."""
        placement = self._placement
        known = None if placement is None else placement.distribution
        if settings.get("distribution") is not known:
            self._placement = present()
            self._predictor = self._next = None
            self._loops.clear()

    def put(
        self,
        found: Sequence[tuple[Run, Sequence[Array | jax.Array]]],
        predictions: list[Array | None],
    ) -> None:
        """Write the predictions to their room."""
        made: list[list[Array]] = [[] for _ in predictions]
        masks: list[list[Array]] = [[] for _ in predictions]
        for run, outputs in found:
            given = iter(outputs)
            for i, room in enumerate(predictions):
                if room is None:
                    continue
                y = np.asarray(next(given))[: run.steps]
                y = y[:, : run.full].reshape(run.steps * run.full, *y.shape[2:])[: run.rows]
                self._check_rows(y, i, run.rows)
                room[run.start : run.start + run.rows] = y.reshape(run.rows, -1)
                made[i].append(y)
            for i, room in enumerate(predictions):
                if room is not None and self._masked[i]:
                    mask = np.asarray(next(given))[: run.steps]
                    mask = mask.reshape(run.steps * run.size, *mask.shape[2:])
                    masks[i].append(mask[: run.rows])
        self.prediction_masks = [np.concatenate(ms) if ms else None for ms in masks]
        own = [data_dtype(output.dtype) for output in self.outputs]
        self.exact_predictions = [
            np.concatenate(ys).astype(t) if ys and goes_beside(t, np.dtype(self.dtype)) else None
            for ys, t in zip(made, own, strict=True)
        ]

    # Predictions

    def predict_into(self, inputs: list[Array], n: int, outputs: list[Array]) -> None:
        """Write the outputs of `n` rows."""
        self._place()
        self._widen_for(inputs)
        if self._predictor is None:
            placement = self._placement
            if placement is not None and not placement.distribution.has_whole_data:
                placement = None  # each process for its own rows
            self._predictor = Predictor(
                self._kind,
                self._definition,
                self.known,
                not self.needs_batches,
                placement,
            )
        most = n if self.needs_batches else _MOST_ROWS
        with numbers(self.wide), all_processes(self._name):
            for start in range(0, n, max(most, 1)):
                stop = min(start + most, n)
                given = zip(inputs, self._inputs, strict=True)
                parts = [np.asarray(x[start:stop], dtype) for x, dtype in given]
                made = self._predictor(parts, stop - start)
                for i, (room, y) in enumerate(zip(outputs, made, strict=True)):
                    self._check_rows(y, i, len(y) if y.ndim and not self.needs_batches else n)
                    room[start:stop] = y[: stop - start]

    def _check_rows(self, y: Any, i: int, n: int) -> None:
        expected = (n, *self.outputs[i].sample_shape)
        if np.shape(y) != expected:
            raise ValueError(
                message(
                    self._name,
                    f"an output of shape {expected}",
                    f"shape {np.shape(y)}",
                    "Keep the batch axis and the shape the model was built with.",
                )
            )

    def direct_call(self) -> Callable[[object], object] | None:
        """None: there is no way that is shorter than `predict`."""
        return None


def _keeps_rows_apart(plan: PlanBuilder) -> bool:
    """Whether each row of a batch comes out as it would alone."""
    if plan.adds_losses or plan.mixes_rows:
        return False
    return not any(op.kind in ("host", "activity") or op.arguments.get("state") for op in plan.ops)
