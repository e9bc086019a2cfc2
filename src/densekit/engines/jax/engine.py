"""`JaxEngine`: many steps by one call of a compiled loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from densekit._core import tree
from densekit._core.dtypes import data_dtype
from densekit._core.engine import Array, Block, EngineKind, LossTerm, Source
from densekit._core.errors import message
from densekit._core.variable import Variable
from densekit.engines.host import definition_dtype
from densekit.engines.jax.loop import Loop, wide_numbers
from densekit.engines.jax.packing import Packing
from densekit.engines.jax.steps import Step, Touched, Values
from densekit.engines.kinds import inside
from densekit.engines.objective import Batch, counts_rows
from densekit.engines.plan import PlanBuilder
from densekit.engines.rows import empty_rows

_MOST_ROWS = 1 << 16  # of one call that predicts
_BYTES = 1 << 24  # of the rows of one dispatch
# Steps of a plan that do the same for a row whatever its batch holds.
_BY_ROWS = {"dense", "activation", "dropout", "affine", "merge", "concatenate", "op"}


class Run(NamedTuple):
    """What one dispatch takes: its first row, rows, steps, rows of a step, and of the last step."""

    start: int
    rows: int
    steps: int
    size: int
    last: int


class JaxEngine:
    """A model, traced.

    Args:
        kind: what models inside run on.
        source: the model.
        plan: what it was found to give.
        trainable: variables to train, in the optimizer's order.
        losses: what to minimise.
        optimizer: a built optimizer; None unless it trains.
    """

    has_host_steps = False

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
        self._losses_of = [term.output for term in losses]
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
        self._optimizer = optimizer
        self._step = Step(kind, source.definition, trainable, losses, optimizer)
        known = [*source.variables, *source.state, *trainable]
        if optimizer is not None:
            known += [*optimizer._trainable_variables, *optimizer.variables]
        self._known = list(dict.fromkeys(known))
        self._wide = self.dtype == "float64" or any(v.dtype == "float64" for v in self._known)
        counted = all(counts_rows(t.loss) for t in losses) and not self.has_masks
        self._pads = _keeps_rows_apart(plan) and counted
        self.flops_per_sample = 2 * sum(v.size for v in source.variables)
        self._loop: Loop | None = None
        self._count = 0
        self._predict: Any = None

    @property
    def added_losses(self) -> bool:
        """Whether a layer in it adds losses, or has done so in a call."""
        return self.adds_losses or self._step.added_losses

    # Steps

    def train(self, block: Block, predictions: list[Array | None]) -> npt.NDArray[np.float64]:
        """Steps on the picked rows of a block, in order: see `Engine.train`."""
        wanted = tuple(room is not None for room in predictions)
        found: list[tuple[Run, Any, list[Any]]] = []
        with wide_numbers(self._wide):
            state: list[Any] | None = None
            try:
                for run in self._runs(block):
                    batches = self._batches(block, run)
                    if self._loop is None:
                        self._loop = self._new_loop(batches)
                    if state is None:
                        read, state = self._loop.read.pack(), self._loop.written.pack()
                        self._count = 0 if self._optimizer is None else self._steps_made()
                    rates = self._rates(run.steps)
                    state, made, outputs = self._loop(
                        read, state, batches, run.steps, run.last, rates, wanted
                    )
                    self._count += run.steps
                    found.append((run, made, outputs))
            finally:
                if state is not None and self._loop is not None:
                    self._loop.written.assign(state)
        losses = [np.asarray(made, np.float64)[: run.steps] for run, made, _ in found]
        self._put(found, predictions)
        return np.concatenate(losses) if losses else np.empty((0, 1 + self.n_losses))

    evaluate = train  # no optimizer, no training

    def _runs(self, block: Block) -> list[Run]:
        """What each dispatch takes: steps of one shape, whose rows a cache can hold."""
        n, batch_size = block.rows, block.batch_size
        columns = [*block.inputs, *block.targets, *block.weights]
        row = sum(8 * math.prod(c.shape[1:]) for c in columns if c is not None)
        at_once = max(1, _BYTES // max(row * batch_size, 1))
        rest = n % batch_size
        steps = n // batch_size + (1 if rest and self._pads else 0)
        runs = []
        for first in range(0, steps, at_once):
            start = first * batch_size
            count = min(at_once, steps - first)
            left = min(n - start, count * batch_size)
            runs.append(Run(start, left, count, batch_size, left - (count - 1) * batch_size))
        if rest and not self._pads:
            runs.append(Run(n - rest, rest, 1, rest, rest))
        return runs

    def _steps_made(self) -> int:
        return int(self._optimizer.steps_counted())

    def _rates(self, steps: int) -> Array | None:
        """The learning rates of the steps to come; None: the optimizer's own variable."""
        optimizer = self._optimizer
        if optimizer is None or isinstance(optimizer._learning_rate, Variable):
            return None
        rates: Array = optimizer.learning_rates(self._count, steps)
        return rates

    def _new_loop(self, batches: Batch) -> Loop:
        """The compiled loop, for the variables that the step touches."""
        touched = Touched({}, {})

        def step(values: list[Any], batch: Batch) -> Any:
            given = dict(zip(self._known, values, strict=True))
            return self._step(given, batch, touched=touched)[1]

        first = jax.tree.map(lambda column: _shape(column.shape[1:], column.dtype), batches)
        jax.eval_shape(step, self._known_shapes(), first)
        return Loop(self._step, touched, self._pads)

    def _known_shapes(self) -> list[Any]:
        return [_shape(v.shape, v.numpy_dtype) for v in self._known]

    def _batches(self, block: Block, run: Run) -> Batch:
        """The picked rows as ``(steps, size, ...)``, in the types that definitions are handed.

        What lacks to a whole batch is filled up with the last row, whose numbers are harmless.
        """
        picked = block.picks[run.start : run.start + run.rows]
        missing = run.steps * run.size - len(picked)
        if missing:
            picked = np.concatenate([picked, np.repeat(picked[-1:], missing)])

        def gather(column: Array | None, dtype: Any) -> Any:
            if column is None:
                return None
            taken = column.take(picked, axis=0) if column.flags.c_contiguous else column[picked]
            return taken.astype(dtype, copy=False).reshape(run.steps, run.size, *column.shape[1:])

        inputs = zip(block.inputs, self._inputs, strict=True)
        return Batch(
            [gather(column, dtype) for column, dtype in inputs],
            [gather(block.targets[i], self.dtype) for i in self._losses_of],
            [gather(block.weights[i], self.dtype) for i in self._losses_of],
        )

    def _put(
        self, found: list[tuple[Run, Any, list[Any]]], predictions: list[Array | None]
    ) -> None:
        """Write the predictions to their room."""
        made: list[list[Array]] = [[] for _ in predictions]
        masks: list[list[Array]] = [[] for _ in predictions]
        for run, _, outputs in found:
            given = iter(outputs)
            for i, room in enumerate(predictions):
                if room is None:
                    continue
                y = np.asarray(next(given))[: run.steps]
                y = y.reshape(run.steps * run.size, *y.shape[2:])[: run.rows]
                self._check_rows(y, i, run.rows)
                room[run.start : run.start + run.rows] = y.reshape(run.rows, -1)
                made[i].append(y)
            for i, room in enumerate(predictions):
                if room is not None and self._masked[i]:
                    mask = np.asarray(next(given))[: run.steps]
                    mask = mask.reshape(run.steps * run.size, *mask.shape[2:])
                    masks[i].append(mask[: run.rows])
        self.prediction_masks = [np.concatenate(ms) if ms else None for ms in masks]
        self.exact_predictions = [
            np.concatenate(ys).astype(data_dtype(h.dtype)) if ys and self._is_exact(h) else None
            for ys, h in zip(made, self.outputs, strict=True)
        ]

    def _is_exact(self, output: Any) -> bool:
        """Whether predictions are of a type that the floats of the metrics cannot hold."""
        own = data_dtype(output.dtype)
        return own.kind in "biu" or own.itemsize > np.dtype(self.dtype).itemsize

    # Predictions

    def predict(self, inputs: list[Array], n: int) -> list[Array]:
        """Outputs of `n` rows, one array per output, in the shapes and dtypes of the model's."""
        outputs = self.empty_outputs(n)
        self.predict_into(inputs, n, outputs)
        return outputs

    def empty_outputs(self, n: int) -> list[Array]:
        """Room for the outputs of `n` rows."""
        return [empty_rows(n, y) for y in self.outputs]

    def predict_into(self, inputs: list[Array], n: int, outputs: list[Array]) -> None:
        """Write the outputs of `n` rows."""
        with wide_numbers(self._wide):
            at_once = n if self.needs_batches else _MOST_ROWS
            for start in range(0, n, max(at_once, 1)):
                stop = min(start + at_once, n)
                parts = [x[start:stop] for x in inputs]
                self._predict_part(parts, stop - start, [y[start:stop] for y in outputs])

    def _predict_part(self, inputs: list[Array], n: int, outputs: list[Array]) -> None:
        # Rows that do not depend on each other are filled up to a power of two, so that few shapes
        # are compiled.
        size = n if self.needs_batches else 1 << (n - 1).bit_length()
        given = []
        for x, dtype in zip(inputs, self._inputs, strict=True):
            column = np.asarray(x[:], dtype)
            if size > n:
                column = np.concatenate([column, np.repeat(column[-1:], size - n, axis=0)])
            given.append(column)
        if self._predict is None:
            self._predict = self._new_predict(given)
        packing, written, call = self._predict
        made, state = call(packing.pack(), given)
        if written is not None:
            written.assign(state)
        for i, (room, y) in enumerate(zip(outputs, made, strict=True)):
            self._check_rows(y, i, size)
            room[...] = np.asarray(y)[:n]

    def _new_predict(self, given: list[Array]) -> Any:
        """The variables a call reads, those it writes, and the compiled call."""
        touched = Touched({}, {})

        def outputs_of(values: dict[Variable, Any], inputs: list[Any], noted: Any = None) -> Any:
            scope = Values(values, noted, collect_losses=True)
            with inside(self._kind), scope:
                made = [jnp.asarray(y) for y in tree.flatten(self._definition(*inputs))]
            self._step.added_losses = self._step.added_losses or bool(scope.losses)
            return made, scope.values()

        def trial(values: list[Any], inputs: list[Any]) -> Any:
            return outputs_of(dict(zip(self._known, values, strict=True)), inputs, touched)[0]

        jax.eval_shape(trial, self._known_shapes(), given)
        packing = Packing(list(touched.read))
        written = Packing(list(touched.written)) if touched.written else None

        def call(packed: Any, inputs: list[Any]) -> Any:
            values = dict(zip(packing.variables, packing.unpack(packed), strict=True))
            made, after = outputs_of(values, inputs)
            state = [] if written is None else written.repack([after[v] for v in written.variables])
            return made, state

        return packing, written, jax.jit(call)

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

    def direct_call(self) -> Callable[[Any], Any] | None:
        """None: there is no way that is shorter than `predict`."""
        return None


_shape: Callable[[tuple[int, ...], np.dtype[Any]], Any] = jax.ShapeDtypeStruct


def _keeps_rows_apart(plan: PlanBuilder) -> bool:
    """Whether each row of a batch comes out as it would alone."""
    if plan.adds_losses or plan.mixes_rows:
        return False
    return all(
        step.kind in _BY_ROWS and step.arguments.get("op") != "batch_normalization"
        for step in plan.steps
    )
