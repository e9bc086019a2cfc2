"""`Session`: an engine with the losses and metrics that follow its runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from densekit._core import settings
from densekit._core.engine import Chunk, Engine, LossTerm, Measure
from densekit._core.native_form import native_form
from densekit._core.types import Array, Logs
from densekit.data._streams import Feed, StreamFeed
from densekit.training._loss_terms import with_targets
from densekit.training._not_finite import FiniteWatch
from densekit.training._own_steps import plain
from densekit.training._run_metrics import CompileMetrics, LossMean

if TYPE_CHECKING:
    from densekit.training._model import TrainableModel

_HOST_STEPS = 32  # of a native call with parts that run in Python
_PREDICTION_BYTES = 1 << 26

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


def logs_of(model: TrainableModel) -> Logs:
    """The present value of every metric as Python floats, by sorted name."""
    results = model.get_metrics_result()
    if len(results) == 1:
        return {name: plain(value) for name, value in results.items()}
    return {name: plain(results[name]) for name in sorted(results)}
