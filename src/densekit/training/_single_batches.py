"""`SingleBatches`: one step at a time, in loops that users write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from densekit import engines
from densekit._core import tree
from densekit._core.engine import Chunk
from densekit._core.types import Logs
from densekit.data._feeds import ArrayFeed
from densekit.training._compiled import Compiled
from densekit.training._overrides import has_own_step
from densekit.training._own_steps import StepLoop, by_step
from densekit.training._preparation import Preparation
from densekit.training._quick_batch import QuickBatch, quick_batch
from densekit.training._quick_step import QuickStep
from densekit.training._runtime import Runtime
from densekit.training._session import Session, logs_of
from densekit.training._sessions import Sessions

if TYPE_CHECKING:
    from densekit.training._model import TrainableModel


class SingleBatches:
    """Steps of one model on single batches."""

    def __init__(
        self,
        model: TrainableModel,
        runtime: Runtime,
        data: Preparation,
        compiled: Compiled,
        sessions: Sessions,
    ) -> None:
        self._model = model
        self._runtime = runtime
        self._data = data
        self._compiled = compiled
        self._sessions = sessions
        self.quick: dict[bool, QuickBatch | None] = {}  # by training: what runs batches of a kind
        self._quick_step: QuickStep | None = None  # the same for steps of the user

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "quick": {}, "_quick_step": None}

    def run(
        self,
        x: object,
        y: object,
        weight: object,
        class_weight: object,
        return_dict: bool,
        training: bool,
    ) -> Any:
        """One step; the logs as `evaluate` gives them."""
        model = self._model
        if has_own_step(type(model), "train" if training else "test"):
            known = training and class_weight is None and self._quick_step is not None
            logs = self._run_quickly(x, y, weight) if known else None
            if logs is None:
                logs = self._run_own(x, y, weight, class_weight, training)
            return logs if return_dict else self._compiled.in_order(logs)
        session, chunk = self.session_and_chunk(x, y, weight, class_weight, training)
        model.reset_metrics()
        with self._runtime.turns.chunk:
            session.run(chunk, training)
        if training and type(x) is not np.ndarray:
            self._data.remember_columns(x, y)
        logs = logs_of(model)
        return logs if return_dict else self._compiled.in_order(logs)

    def session_and_chunk(
        self, x: Any, y: Any, weight: Any, class_weight: object, training: bool
    ) -> tuple[Session, Chunk]:
        """A batch as a chunk, and the session that runs it."""
        quick = self.quick.get(training)
        if quick is not None and class_weight is None:
            known = quick.session_for(x, y, weight)
            if known is not None:
                return known, quick.chunk(x, y, weight)
        columns = self._data.array_columns(x, y, weight, class_weight)
        feed = ArrayFeed(columns, batch_size=max(columns.rows, 1), steps=None)
        what = "train_on_batch" if training else "test_on_batch"
        session = self._sessions.session(feed, training, self._sessions.watch(what, epochs=False))
        self.quick[training] = quick_batch(
            self._model, self._runtime, self._data, session, (x, y, weight), columns
        )
        (chunk,) = feed.chunks(1)
        return session, chunk

    def _run_quickly(self, x: object, y: object, weight: object) -> Logs | None:
        """One step that the user wrote and an engine makes, if it is like the one before."""
        model, quick = self._model, self._quick_step
        assert quick is not None
        found = quick.ready(model.__dict__.get("train_function"), (x, y, weight))
        if found is None:
            return None
        model.reset_metrics()
        with self._runtime.turns.chunk, engines.inside(self._runtime.kind):
            logs = found()
        return by_step(logs) or logs_of(model)

    def _run_own(
        self, x: object, y: object, weight: object, class_weight: object, training: bool
    ) -> Logs:
        """One step that the user wrote."""
        batches, model = self._data.batch_structure(), self._model
        sized = [leaf for leaf in tree.flatten(x) if hasattr(leaf, "__len__")]  # others are refused
        rows = max(map(len, sized), default=1)
        feed = self._data.step_feed(batches, x, y, weight, class_weight, max(rows, 1), None)
        session = self._sessions.of_steps(batches, training)
        model.reset_metrics()
        for chunk in feed.chunks(1):
            with self._runtime.turns.chunk:
                session.run(chunk, training)
        if training:
            self._data.remember_columns(x)
            function = model.__dict__.get("train_function")
            self._quick_step = None
            if isinstance(function, StepLoop) and class_weight is None:
                self._quick_step = QuickStep(function, batches, (x, y, weight))
        return session.batch_logs(model)
