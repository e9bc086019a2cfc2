"""`Fitting`: the epochs of `fit`, and `evaluate`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from densekit._core.engine import Index
from densekit._core.errors import describe, message
from densekit._core.types import Logs
from densekit.data._feeds import ArrayFeed
from densekit.data._split import train_validation_split
from densekit.data._streams import Feed
from densekit.training._compiled import Compiled
from densekit.training._fit_loop import Runs, callback_list, run_all, run_epoch
from densekit.training._limits import limited_epochs, limited_steps
from densekit.training._not_finite import FiniteWatch, unnamed_watch
from densekit.training._overrides import has_own_step
from densekit.training._own_steps import StepSession
from densekit.training._preparation import Preparation
from densekit.training._runtime import Runtime
from densekit.training._session import Session
from densekit.training._sessions import Sessions
from densekit.training._step_data import BatchStructure

if TYPE_CHECKING:
    from densekit.callbacks import CallbackList, History
    from densekit.training._model import TrainableModel


class Fitting:
    """Trains and evaluates one model on data sets."""

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

    def fit(self, *arguments: Any) -> History:
        """Train for some epochs: `Trainer.fit`, whose arguments these are."""
        return run_all(self.epochs(*arguments), self._runtime)

    def epochs(
        self,
        x: object,
        y: object,
        batch_size: int | None,
        epochs: int,
        verbose: object,
        callbacks: object,
        validation_split: float,
        validation_data: object,
        shuffle: object,
        class_weight: dict[int, float] | str | None,
        sample_weight: object,
        initial_epoch: int,
        steps_per_epoch: int | None,
        validation_steps: int | None,
        validation_batch_size: int | None,
        validation_freq: object,
        warns: bool = True,
        rows: Index | None = None,
        validation_rows: Index | None = None,
    ) -> Runs[History]:
        """The loop of `fit`, which waits for each chunk of steps.

        Args:
            warns: whether a loss that is not finite is said.
            rows, validation_rows: the only rows of the data to take; they are not copied.
        """
        model, data = self._model, self._data
        own, own_test = has_own_step(type(model), "train"), has_own_step(type(model), "test")
        self._compiled.check_to_train()
        epochs, initial_epoch = _count(epochs, "epochs"), _count(initial_epoch, "initial_epoch")
        _check_frequency(validation_freq)
        epochs, steps_per_epoch = limited_epochs(epochs), limited_steps(steps_per_epoch)
        given = x, y
        if validation_split and validation_data is None:
            x, y = data.arranged(x), data.arranged_targets(y)
            (x, y, sample_weight), validation_data = train_validation_split(
                x,
                y,
                sample_weight,
                validation_split,
                self._runtime.dtype(),
                data.takes_text,
            )
        if rows is not None and class_weight == "balanced":
            sample_weight, class_weight = data.balanced_weights(y, sample_weight, rows), None
        batches = data.batch_structure() if own else None
        test_batches = data.batch_structure() if own_test else None
        make_feed = data.feed if batches is None else partial(data.step_feed, batches)
        feed = make_feed(
            x, y, sample_weight, class_weight, batch_size, steps_per_epoch, shuffle=shuffle
        )
        if rows is not None:
            assert isinstance(feed, ArrayFeed)
            feed.keep(rows)
        validation = None
        if validation_data is not None:
            validation = data.validation_feed(
                validation_data,
                validation_batch_size or batch_size,
                limited_steps(validation_steps),
                test_batches,
            )
        if validation_rows is not None:
            assert isinstance(validation, ArrayFeed)
            validation.keep(validation_rows)
        native = not own or (validation is not None and not own_test)
        watch = self._sessions.watch("fit") if native else unnamed_watch("fit")
        if not warns:
            watch.silence()
        session = self._session(feed, batches, True, watch)
        tests = None
        if validation is not None:
            tests = self._session(validation, test_batches, False, watch)
        if not own:
            data.remember_columns_of(feed, *given)
        run = callback_list(model, callbacks, verbose, feed.num_batches, epochs, True)
        feed.begin_anew()
        model.stop_training = False
        logs: Logs = {}
        trained: Logs = {}
        run.on_train_begin()
        initial_epoch = model._initial_epoch or initial_epoch
        try:
            for epoch in range(initial_epoch, epochs):
                model.reset_metrics()
                watch.epoch, watch.validates = epoch, False
                run.on_epoch_begin(epoch)
                session = self._sessions.fresh(session, feed, True)
                steps = yield from run_epoch(model, session, feed, run, training=True)
                # An epoch for which no data were left shows the numbers before it, as in Keras.
                trained = session.logs(model) if steps or not trained else trained
                logs = dict(trained)
                if validation is not None and _is_due(epoch, validation_freq):
                    assert tests is not None
                    tests = self._sessions.fresh(tests, validation, False)
                    watch.validates = True
                    results = yield from self._run_test(tests, validation, run)
                    logs |= {f"val_{name}": value for name, value in results.items()}
                    logs = {name: logs[name] for name in sorted(logs)}
                run.on_epoch_end(epoch, logs)
                if model.stop_training:
                    break
        finally:
            session.ends()
            if tests is not None:
                tests.ends()
            if epochs > 0 and model.optimizer is not None and model.optimizer.built:
                model.optimizer.finalize_variable_values(model.trainable_variables)
        run.on_train_end(logs)
        history: History = model.history
        return history

    def evaluate(
        self,
        x: object,
        y: object,
        batch_size: int | None,
        verbose: object,
        sample_weight: object,
        steps: int | None,
        callbacks: object,
        return_dict: bool,
    ) -> Any:
        """Loss and metrics of the model as it is: `Trainer.evaluate`."""
        self._compiled.check()
        steps = limited_steps(steps)
        model, data = self._model, self._data
        if has_own_step(type(model), "test"):
            batches = data.batch_structure()
            feed = data.step_feed(batches, x, y, sample_weight, None, batch_size, steps)
            session = self._session(feed, batches, False, unnamed_watch("evaluate"))
        else:
            feed = data.feed(x, y, sample_weight, None, batch_size, steps, repeated=False)
            session = self._session(feed, None, False, self._sessions.watch("evaluate"))
        run = callback_list(model, callbacks, verbose, feed.num_batches)
        try:
            logs = run_all(self._run_test(session, feed, run), self._runtime)
        finally:
            session.ends()
        return logs if return_dict else self._compiled.in_order(logs)

    def _session(
        self, feed: Feed, own: BatchStructure | None, training: bool, watch: FiniteWatch
    ) -> Session | StepSession:
        """What runs the steps; for steps that the user wrote `own` puts the batches together."""
        if own is None:
            return self._sessions.session(feed, training, watch)
        return self._sessions.of_steps(own, training, watch)

    def _run_test(
        self, session: Session | StepSession, feed: Feed, callbacks: CallbackList
    ) -> Runs[Logs]:
        model = self._model
        feed.begin_anew()
        model.stop_evaluating = False
        callbacks.on_test_begin()
        model.reset_metrics()
        yield from run_epoch(model, session, feed, callbacks, training=False)
        logs = session.logs(model)
        callbacks.on_test_end(logs)
        return logs


def _count(value: object, what: str) -> int:
    """A whole number, at least 0."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise TypeError(message(f"`{what}`", "an integer", describe(value), "Pass a whole number."))
    if value < 0:
        raise ValueError(message(f"`{what}`", "at least 0", describe(value), "Pass 0 or more."))
    return int(value)


def _check_frequency(frequency: object) -> None:
    if (isinstance(frequency, int) and frequency >= 1) or isinstance(frequency, list):
        return
    raise ValueError(
        message(
            "`validation_freq`",
            "an int >= 1 or a list of epochs",
            describe(frequency),
            "Pass e.g. 1.",
        )
    )


def _is_due(epoch: int, frequency: Any) -> bool:
    """Whether to validate after this epoch; the user's count starts at 1."""
    if isinstance(frequency, int):
        return (epoch + 1) % frequency == 0
    return epoch + 1 in frequency
