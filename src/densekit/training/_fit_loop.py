"""Steps, chunks of steps and epochs: the loops of `fit`, `evaluate` and `predict`."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from densekit import callbacks, engines
from densekit._core import settings
from densekit._core.engine import Chunk, Engine, LossTerm, Measure
from densekit._core.native_form import native_form
from densekit._core.tensor import lend_all
from densekit._core.types import Array, Logs
from densekit.data._streams import Feed, StreamFeed
from densekit.training._joined import joined
from densekit.training._loss_terms import with_targets
from densekit.training._not_finite import FiniteWatch
from densekit.training._own_steps import StepSession, plain
from densekit.training._run_metrics import CompileMetrics, LossMean
from densekit.training._runtime import Runtime

if TYPE_CHECKING:
    from densekit.training._model import TrainableModel

_PREDICT_FLOPS = 4e9  # of a native call: the bar moves between two
_HOST_STEPS = 32  # with parts that run in Python
_PREDICTION_BYTES = 1 << 26


T = TypeVar("T")
# What a loop waits for: a session, the chunk that it is to run, and whether to train.
PendingRun: TypeAlias = "tuple[Session | StepSession, Chunk, bool]"
Runs = Generator[PendingRun, None, T]


def callback_list(
    model: TrainableModel,
    given: object,
    verbose: Any,
    steps: int | None,
    epochs: int = 1,
    add_history: bool = False,
) -> callbacks.CallbackList:
    """The callbacks that a user passes, with a progress bar unless silent; a list stays itself."""
    if isinstance(given, callbacks.CallbackList):
        return given
    return callbacks.CallbackList(
        given,
        add_history=add_history,
        add_progbar=bool(verbose),
        verbose=verbose,
        epochs=epochs,
        steps=steps,
        model=model,
    )


EngineFor = Callable[[list[Array], Sequence[LossTerm]], Engine]


class Changing(Protocol):
    """A model, as far as a session asks it between two chunks."""

    @property
    def has_open_shapes(self) -> bool:
        """Whether an input has sizes that the data decide."""

    def moment(self) -> object:
        """The same as long as no engine can have become stale."""


class Session:
    """An engine with the losses and metrics that follow its runs.

    Args:
        engine: trains or evaluates.
        terms: its losses.
        loss: mean of the total loss.
        term_means: mean of each loss; empty if there is only one.
        metrics: the compiled metrics, built; or None.
        watch: warns of losses that are not finite; None: nobody does.
    """

    def __init__(
        self,
        engine: Engine,
        terms: Sequence[LossTerm],
        loss: LossMean,
        term_means: Sequence[LossMean],
        metrics: CompileMetrics | None,
        watch: FiniteWatch | None = None,
    ) -> None:
        self.watch = watch
        self.terms = list(terms)
        self._loss = loss
        self._term_means = list(term_means)
        self._metrics = metrics
        self.made_for: object = None  # the state of the model it fits
        self._at_once = metrics is None or metrics.are_rowwise
        self._own_losses = any(native_form(term.loss) is None for term in terms)
        self._use(engine)

    def ask_again(self, model: Changing, engine_for: EngineFor, made_at: object) -> None:
        """Ask for the engine anew where sizes are left to the data, and when the model changes.

        Args:
            model: what may change.
            engine_for: the engine for inputs and losses.
            made_at: the moment of the model that the present engine fits.
        """
        self._model, self._engine_for, self._made_at = model, engine_for, made_at
        self._has_open_shapes = model.has_open_shapes  # as it was then: it takes time to see

    def _use(self, engine: Engine) -> None:
        self.engine = engine
        handles, metrics = engine.outputs, self._metrics
        needed = [False] * len(handles) if metrics is None else metrics.needs_predictions
        self._shapes = [
            h.sample_shape if want else None for h, want in zip(handles, needed, strict=True)
        ]
        self._row_bytes = sum(8 * math.prod(s) for s in self._shapes if s is not None)

    def _meets_other_targets(self, chunk: Chunk) -> bool:
        """Whether targets have another shape than those that own losses were followed with."""
        terms = with_targets(self.terms, chunk.targets)
        if all(old is new for old, new in zip(self.terms, terms, strict=True)):
            return False
        self.terms = terms
        return True

    def chunk_steps(self, feed: Feed) -> int:
        """Steps of one native call."""
        if isinstance(feed, StreamFeed):
            return 1
        rows = self.engine.chunk_rows
        if self._row_bytes:
            rows = min(rows, _PREDICTION_BYTES / self._row_bytes)
        if feed.copied_rows is not None:
            rows = min(rows, feed.copied_rows)
        steps = int(rows // feed.batch_size)
        if self.engine.has_host_nodes:
            steps = min(steps, _HOST_STEPS)
        return max(1, steps)

    def logs(self, model: TrainableModel) -> Logs:
        """What callbacks are told."""
        return logs_of(model)

    batch_logs = logs

    def ends(self) -> None:
        """No more chunks of this data set will come."""
        self.engine.forget_data()

    def run(self, chunk: Chunk, training: bool) -> None:
        """Run a chunk, then update losses and metrics."""
        self._make_engine_ready(chunk)
        taken: Sequence[Measure] = ()
        if self._metrics is not None:
            taken = self.engine.take_along(self._metrics.measures, chunk)
        predictions = self._room(chunk, taken)
        run = self.engine.train if training else self.engine.evaluate
        self.follow(chunk, predictions, run(chunk, predictions), taken)

    def make_ready(self, chunk: Chunk) -> list[Array | None]:
        """Have the engine that fits the chunk; room for the predictions that metrics look at."""
        self._make_engine_ready(chunk)
        return self._room(chunk)

    def _make_engine_ready(self, chunk: Chunk) -> None:
        terms = self.terms
        moment = self._model.moment()
        if moment != self._made_at or self._has_open_shapes:
            if moment != self._made_at:
                self._made_at, self._has_open_shapes = moment, self._model.has_open_shapes
            engine = self._engine_for(chunk.inputs, terms)
            if engine is not self.engine:
                self.engine.forget_data()
                self._use(engine)
        if self._own_losses and self._meets_other_targets(chunk):
            self._use(self._engine_for(chunk.inputs, self.terms))

    def _room(self, chunk: Chunk, taken: Sequence[Measure] = ()) -> list[Array | None]:
        n, shapes = chunk.rows, self._shapes
        if taken and self._metrics is not None:
            needed = {m.output for m in self._metrics.measures if m not in taken}
            shapes = [shape if i in needed else None for i, shape in enumerate(shapes)]
        dtype = self.engine.dtype
        return [
            None if shape is None else np.empty((n, math.prod(shape)), dtype) for shape in shapes
        ]

    def follow(
        self,
        chunk: Chunk,
        predictions: list[Array | None],
        losses: npt.NDArray[np.float64],
        taken: Sequence[Measure] = (),
    ) -> None:
        """Update losses and metrics by what the engine gave for a chunk.

        Args:
            taken: metrics that the engine has updated.
        """
        n, total = chunk.rows, losses[:, 0]
        self._loss.add(total, chunk.batch_size, n)
        if self.watch is not None:
            self.watch.look(chunk, total)
        if self._term_means:
            for i, mean in enumerate(self._term_means):
                mean.add(losses[:, 1 + i], chunk.batch_size, n)
        if self._metrics is not None:
            self._update_metrics(chunk, predictions, taken)

    def _update_metrics(
        self, chunk: Chunk, predictions: list[Array | None], taken: Sequence[Measure]
    ) -> None:
        assert self._metrics is not None
        done = {id(measure.metric) for measure in taken}
        for i, (rows, shape) in enumerate(zip(predictions, self._shapes, strict=True)):
            if rows is None or shape is None:
                continue
            y_pred = rows.reshape(len(rows), *shape)
            if self.engine.exact_predictions:
                exact = self.engine.exact_predictions[i]
                y_pred = y_pred if exact is None else exact
            masks = self.engine.prediction_masks
            mask = masks[i] if masks else None
            y_true = _as_keras_floats(chunk.pick(chunk.targets[i]))
            weight = _as_keras_floats(chunk.pick(chunk.weights[i]))
            if self._at_once or chunk.steps == 1:
                self._metrics.update_output(i, y_true, y_pred, weight, mask, done)
                continue
            for start in range(0, len(rows), chunk.batch_size):
                part = slice(start, start + chunk.batch_size)
                self._metrics.update_output(
                    i,
                    None if y_true is None else y_true[part],
                    y_pred[part],
                    None if weight is None else weight[part],
                    None if mask is None else mask[part],
                    done,
                )


def _as_keras_floats(rows: Array | None) -> Array | None:
    """Floats in the type in which Keras hands them to metrics: an own one may compare them."""
    if rows is None or rows.dtype.kind != "f":
        return rows
    return rows.astype(settings.floatx(), copy=False)


def run_epoch(
    model: TrainableModel,
    session: Session | StepSession,
    feed: Feed,
    callbacks: callbacks.CallbackList,
    training: bool,
) -> Runs[int]:
    """All steps of one epoch, with the batch hooks of the callbacks; returns how many.

    Chunks are yielded to whoever runs them: `run_all`, or `fit_many` with those of other models.
    """
    mode = "train" if training else "test"
    begin = getattr(callbacks, f"on_{mode}_batch_begin")
    end = getattr(callbacks, f"on_{mode}_batch_end")
    stop = "stop_training" if training else "stop_evaluating"
    every = callbacks.wants_batches(mode)
    per_call = model.steps_per_execution
    first = steps = 0  # first step since the hooks were called; steps made
    feed.epoch_begins()
    # Told to stop before the epoch, it stops after its first call, as in Keras.
    is_single = every or getattr(model, stop)
    chunks = feed.chunks(per_call if is_single else session.chunk_steps(feed))
    for chunk in joined(chunks, isinstance(session, Session)):
        if every and steps == first:
            begin(first)
        yield session, chunk, training
        steps = chunk.first_step + chunk.steps
        if every:
            if steps - first < per_call:
                continue
            end(first + per_call - 1, session.batch_logs(model))
            first = steps
        elif callbacks.progress is not None and steps != feed.num_batches:
            # The end of the epoch shows the last one.
            getattr(callbacks.progress, f"on_{mode}_batch_end")(
                steps - 1, session.batch_logs(model)
            )
        if getattr(model, stop):
            return steps
    if every and steps > first:
        end(first + per_call - 1, session.batch_logs(model))
    feed.epoch_ends()
    return steps


def run_all(runs: Runs[T], runtime: Runtime) -> T:
    """What a loop of one model returns, its chunks run as they come."""
    try:
        while True:
            try:
                session, chunk, training = next(runs)
            except StopIteration as end:
                result: T = end.value
                return result
            if training:
                with runtime.turns.chunk:
                    session.run(chunk, True)
            else:
                session.run(chunk, False)
    finally:
        runs.close()


def logs_of(model: TrainableModel) -> Logs:
    """The present value of every metric as Python floats, by sorted name."""
    results = model.get_metrics_result()
    if len(results) == 1:
        return {name: plain(value) for name, value in results.items()}
    return {name: plain(results[name]) for name in sorted(results)}


def predict_rows(
    engine: Engine,
    inputs: list[Array],
    rows: int,
    batch_size: int,
    steps: int | None,
    per_call: int,
    callbacks: callbacks.CallbackList,
    stopped: Callable[[], bool],
) -> list[Array]:
    """Outputs for arrays in memory, in chunks between which callbacks are called.

    Args:
        steps: batches to look at; None: all.
        per_call: batches between two calls of batch hooks.
    """
    if steps is not None:
        rows = min(rows, steps * batch_size)
    every = callbacks.wants_batches("predict")
    chunk = per_call * batch_size if every else _predict_chunk(engine, batch_size)
    # What runs in Python, or draws, may look at the batch as a whole; other rows never do.
    whole = engine.has_host_nodes or engine.needs_batches
    most = chunk if whole else min(chunk, _most_rows(engine))
    most = batch_size if engine.needs_batches else most
    if not whole and not all(map(engines.is_readable, inputs)):
        most = min(most, engines.rows_at_once(inputs))
    outputs = engine.empty_outputs(rows)
    for start in range(0, rows, chunk):
        stop = min(start + chunk, rows)
        if every:
            callbacks.on_predict_batch_begin(start // batch_size)
        for first in range(start, stop, most):  # between two calls Ctrl-C gets its turn
            last = min(first + most, stop)
            parts = [y[first:last] for y in outputs]
            engine.predict_into([x[first:last] for x in inputs], last - first, parts)
        if every:
            parts = [y[start:stop] for y in outputs]
            made = lend_all(parts[0] if len(parts) == 1 else parts)
            last = start // batch_size + per_call - 1
            callbacks.on_predict_batch_end(last, {"outputs": made})
        elif callbacks.progress is not None and stop < rows:
            callbacks.progress.on_predict_batch_end(-(-stop // batch_size) - 1)
        if stopped():
            outputs = [y[:stop] for y in outputs]
            break
    return outputs


def _predict_chunk(engine: Engine, batch_size: int) -> int:
    """Rows between two turns of the callbacks, a multiple of the batch size."""
    if engine.needs_batches:
        return batch_size
    rows = 4096 if engine.has_host_nodes else _most_rows(engine)
    return max(1, rows // batch_size) * batch_size


def _most_rows(engine: Engine) -> int:
    """Rows of one native call."""
    rows = _PREDICT_FLOPS / max(engine.flops_per_sample, 1)
    return max(1, int(min(rows, 1 << 20)))
