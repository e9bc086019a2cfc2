"""`Sessions`: makes what runs steps, for the data at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from densekit import losses
from densekit._core.engine import Engine
from densekit._core.plan import NotLowerable
from densekit.data._columns import Columns, output_keys
from densekit.data._streams import Feed, StreamFeed
from densekit.training._compiled import Compiled
from densekit.training._loss_terms import with_targets
from densekit.training._not_finite import FiniteWatch, refuse_all_nan
from densekit.training._own_steps import StepSession
from densekit.training._preparation import Preparation
from densekit.training._runtime import Runtime
from densekit.training._session import EngineFor, Session
from densekit.training._step_data import BatchStructure
from densekit.training._whole_batch import WholeBatchSession

if TYPE_CHECKING:
    from densekit.training._model import TrainableModel


class Sessions:
    """Makes the sessions of one model: engine, losses and metrics, or the user's own steps."""

    def __init__(
        self, model: TrainableModel, runtime: Runtime, data: Preparation, compiled: Compiled
    ) -> None:
        self._model = model
        self._runtime = runtime
        self._data = data
        self._compiled = compiled

    def watch(self, what: str, epochs: bool = True) -> FiniteWatch:
        """What warns of NaN and infinity in one call of `fit` or `evaluate`, or in single steps."""
        signature = self._runtime.signature()
        known = self._model._dk_known_columns
        return FiniteWatch(what, signature.input_names, output_keys(signature), known, epochs)

    def session(self, feed: Feed, training: bool, watch: FiniteWatch | None = None) -> Session:
        """Engine, losses and metrics for this data."""
        runtime, compiled = self._runtime, self._compiled
        signature = runtime.signature()
        example = self._example(feed)
        terms = compiled.resolved_terms(signature, example.targets)
        terms = compiled.terms = with_targets(terms, example.targets)
        if training and example.targets and isinstance(feed, StreamFeed):
            # Losses of users may know what to do with a first batch without numbers; ours do not.
            ours = [i for t in terms if losses.is_built_in(t.loss) for i in t.outputs]
            keys = output_keys(signature)
            refuse_all_nan([example.targets[i] for i in ours], [keys[i] for i in ours])
        made_at = runtime.moment()
        compiled.build_metrics(signature, example.targets)
        engine_for: EngineFor = runtime.trainer if training else runtime.evaluator
        assert compiled.loss_mean is not None
        followers = compiled.loss_mean, compiled.term_means, compiled.metrics, watch
        try:
            engine = engine_for(example.inputs, terms)
        except NotLowerable:
            definition = runtime.by_definition(terms, training)
            session: Session = WholeBatchSession(definition, terms, *followers)
            session.made_for = runtime.state(), self._model.optimizer
            return session
        if training:
            self._check_something_to_learn(engine)
        session = Session(engine, terms, *followers)
        session.ask_again(runtime, engine_for, made_at)
        session.made_for = runtime.state(), self._model.optimizer
        return session

    def _example(self, feed: Feed) -> Columns:
        """Inputs and targets that show the shapes of the data."""
        runtime = self._runtime
        told = isinstance(feed, StreamFeed) and feed.tells_epochs and self._data.knows_data()
        if not told or runtime.has_open_shapes:
            return feed.sample
        shapes = [[size or 0 for size in shape[1:]] for shape in runtime.signature().input_shapes]
        return Columns([np.empty([0, *shape]) for shape in shapes], [], [])

    def of_steps(
        self, data: BatchStructure, training: bool, watch: FiniteWatch | None = None
    ) -> StepSession:
        """What calls the user's own steps."""
        return StepSession(self._model, self._runtime, data, training, watch)

    def fresh(
        self, session: Session | StepSession, feed: Feed, training: bool
    ) -> Session | StepSession:
        """`session`, or a new one if a callback changed the model."""
        if isinstance(session, StepSession):
            return session
        if session.made_for == (self._runtime.state(), self._model.optimizer):
            return session
        return self.session(feed, training, session.watch)

    def _check_something_to_learn(self, engine: Engine) -> None:
        penalties = any(v.regularizer is not None for v in self._runtime.trainable())
        added = self._runtime.collects_losses or engine.has_host_nodes or engine.adds_losses
        if not (engine.n_losses or penalties or added):
            model = self._model
            raise ValueError(
                f"{type(model).__name__} {model.name!r}: No loss to compute. "
                "Provide a `loss` argument in `compile()`."
            )
