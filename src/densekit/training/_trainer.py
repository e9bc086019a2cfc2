"""`Trainer`: the part of `Model` that trains, evaluates and predicts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from densekit._core.errors import describe, message
from densekit._core.frames import filters_traceback
from densekit.data._split import train_validation_split
from densekit.training._compiling import Compiling
from densekit.training._fit_loop import callback_list, run_epoch
from densekit.training._limits import limited_epochs, limited_steps
from densekit.training._not_finite import unnamed_watch
from densekit.training._own_steps import BatchStructure
from densekit.training._turns import alone

if TYPE_CHECKING:
    from densekit.callbacks import CallbackList, History


class Trainer(Compiling):
    """`compile`, `fit`, `evaluate`, `predict` and what belongs to them."""

    @filters_traceback
    @alone
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: Any = True,
        class_weight: dict[int, float] | str | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> History:
        """Train for some epochs.

        Args:
            x: array ``(samples, ...)``, a list or dict of arrays for several inputs, or an
                iterable of batches ``(x, y)`` or ``(x, y, sample_weight)``.
            y: targets, in the structure of the outputs; None if `x` yields them.
            batch_size: rows of a step, >= 1. Default: ``32``.
            epochs: last epoch, counted from 1. Default: ``1``.
            verbose: 0 silent, 1 a progress bar, 2 a line per epoch. Default: ``"auto"``, which is
                1.
            callbacks: callbacks. Default: none but the `History` that is returned.
            validation_split: share of the rows, the last ones, that is kept for validation, in
                ``[0, 1)``.
                Default: ``0``.
            validation_data: ``(x, y)`` or ``(x, y, sample_weight)``, or an iterable of batches.
            shuffle: whether each epoch takes the rows in a new order; ``"batch"``: only inside
                batches.
                Default: ``True``.
            class_weight: weight of the samples of each class, by number; or ``"balanced"``, which
                gives every class the same share. Default: 1 each.
            sample_weight: weight of each sample, or of each loss value. Default: 1 each.
            initial_epoch: epoch to begin with, for a training that goes on, >= 0. Default: ``0``.
            steps_per_epoch: steps of an epoch. Default: until the data ends.
            validation_steps: steps of a validation. Default: until the data ends.
            validation_batch_size: rows of a validation step. Default: `batch_size`.
            validation_freq: validate every so many epochs, or in the listed ones. Default: ``1``.

        Returns:
            a `History`, whose ``history`` maps each key of the logs to one value per epoch.

        Raises:
            ValueError: for data, targets or weights that do not fit the model. It is unchanged
                then.

        Example:

        >>> import densekit as keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.ones((8, 2), "float32")
        >>> sorted(model.fit(x, x[:, 0], validation_split=0.5, verbose=0).history)
        ['loss', 'val_loss']
        """
        self._dk_assert_trainable()
        epochs, initial_epoch = _count(epochs, "epochs"), _count(initial_epoch, "initial_epoch")
        _check_frequency(validation_freq)
        epochs, steps_per_epoch = limited_epochs(epochs), limited_steps(steps_per_epoch)
        given = x, y
        if validation_split and validation_data is None:
            x, y = self._dk_data.arranged(x), self._dk_data.arranged_targets(y)
            (x, y, sample_weight), validation_data = train_validation_split(
                x,
                y,
                sample_weight,
                validation_split,
                self._dk_runtime.dtype(),
                self._dk_data.takes_text,
            )
        own, own_test = self._dk_has_own_step("train"), self._dk_has_own_step("test")
        batches, test_batches = (
            BatchStructure(self._dk_data.takes_text),
            BatchStructure(self._dk_data.takes_text),
        )
        make_feed = partial(self._dk_data.step_feed, batches) if own else self._dk_data.feed
        feed = make_feed(
            x, y, sample_weight, class_weight, batch_size, steps_per_epoch, shuffle=shuffle
        )
        validation = None
        if validation_data is not None:
            validation = self._dk_data.validation_feed(
                validation_data,
                validation_batch_size or batch_size,
                limited_steps(validation_steps),
                test_batches if own_test else None,
            )
        native = not own or (validation is not None and not own_test)
        watch = self._dk_watch("fit") if native else unnamed_watch("fit")
        session: Any
        if own:
            session = self._dk_step_session(batches, True, watch)
        else:
            session = self._dk_session(feed, True, watch)
        tests: Any = None
        if validation is not None and own_test:
            tests = self._dk_step_session(test_batches, False, watch)
        elif validation is not None:
            tests = self._dk_session(validation, False, watch)
        if not own:
            self._dk_data.remember_columns_of(feed, *given)
        callbacks = callback_list(self, callbacks, verbose, feed.num_batches, epochs, True)
        feed.begin_anew()
        self.stop_training = False
        logs: dict[str, Any] = {}
        trained: dict[str, Any] = {}
        callbacks.on_train_begin()
        initial_epoch = self._initial_epoch or initial_epoch
        try:
            for epoch in range(initial_epoch, epochs):
                self.reset_metrics()
                watch.epoch, watch.validates = epoch, False
                callbacks.on_epoch_begin(epoch)
                session = self._dk_fresh(session, feed, True)
                steps = run_epoch(self, session, feed, callbacks, training=True)
                # An epoch for which no data were left shows the numbers before it, as in Keras.
                trained = session.logs(self) if steps or not trained else trained
                logs = dict(trained)
                if validation is not None and _is_due(epoch, validation_freq):
                    assert tests is not None
                    tests = self._dk_fresh(tests, validation, False)
                    watch.validates = True
                    results = self._dk_run_test(tests, validation, callbacks)
                    logs |= {f"val_{name}": value for name, value in results.items()}
                    logs = {name: logs[name] for name in sorted(logs)}
                callbacks.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
        finally:
            if epochs > 0 and self.optimizer is not None and self.optimizer.built:
                self.optimizer.finalize_variable_values(self.trainable_variables)
        callbacks.on_train_end(logs)
        history: History = self.history
        return history

    def _dk_run_test(self, session: Any, feed: Any, callbacks: CallbackList) -> dict[str, Any]:
        feed.begin_anew()
        self.stop_evaluating = False
        callbacks.on_test_begin()
        self.reset_metrics()
        run_epoch(self, session, feed, callbacks, training=False)
        logs: dict[str, Any] = session.logs(self)
        callbacks.on_test_end(logs)
        return logs

    @filters_traceback
    @alone
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Loss and metrics of the model as it is; arguments as for `fit`.

        Args:
            steps: batches to look at. Default: all.
            return_dict: return a dict by name instead of a list. Default: ``False``.

        Returns:
            the loss; with metrics a list: the loss, then the metrics; or a dict.

        Raises:
            ValueError: for data that does not fit the model.

        Example:

        >>> import densekit as keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse", metrics=["mae"])
        >>> x = np.ones((8, 2), "float32")
        >>> sorted(model.evaluate(x, x[:, 0], verbose=0, return_dict=True))
        ['loss', 'mae']
        """
        self._dk_assert_compiled()
        if kwargs:
            raise ValueError(
                message("evaluate", "known arguments", f"{list(kwargs)}", "Check the spelling.")
            )
        steps = limited_steps(steps)
        session: Any
        if self._dk_has_own_step("test"):
            batches = BatchStructure(self._dk_data.takes_text)
            feed = self._dk_data.step_feed(batches, x, y, sample_weight, None, batch_size, steps)
            session = self._dk_step_session(batches, False, unnamed_watch("evaluate"))
        else:
            feed = self._dk_data.feed(x, y, sample_weight, None, batch_size, steps, repeated=False)
            session = self._dk_session(feed, False, self._dk_watch("evaluate"))
        callbacks = callback_list(self, callbacks, verbose, feed.num_batches)
        logs = self._dk_run_test(session, feed, callbacks)
        return logs if return_dict else self._dk_in_order(logs)


def _count(value: Any, what: str) -> int:
    """A whole number, at least 0."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise TypeError(message(f"`{what}`", "an integer", describe(value), "Pass a whole number."))
    if value < 0:
        raise ValueError(message(f"`{what}`", "at least 0", describe(value), "Pass 0 or more."))
    return int(value)


def _check_frequency(frequency: Any) -> None:
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
