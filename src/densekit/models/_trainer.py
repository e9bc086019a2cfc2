"""`Trainer`: the part of `Model` that trains, evaluates and predicts."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from densekit import optimizers
from densekit._core.errors import describe, message
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit.callbacks import CallbackList, History
from densekit.models._batches import Batches
from densekit.models._feed import check_count
from densekit.models._fit_loop import logs_of, run_epoch
from densekit.models._losses import check_loss_weights
from densekit.models._metrics import CompileMetrics
from densekit.models._runtime import Runtime, new_shuffle_state
from densekit.models._split import train_validation_split

# Set while a model runs: none of them changes what a plan computes.
_RUN_STATE = frozenset(
    {
        "compiled",
        "history",
        "loss",
        "optimizer",
        "run_eagerly",
        "jit_compile",
        "steps_per_execution",
        "stop_training",
        "stop_evaluating",
        "stop_predicting",
        "_initial_epoch",
    }
)


class Trainer(Batches):
    """`compile`, `fit`, `evaluate`, `predict` and what belongs to them."""

    def __init__(self) -> None:
        state = self.__dict__
        state["_runtime"] = Runtime(self)
        state["_compiled"] = {}
        state["_loss_tracker"] = None
        state["_compile_metrics"] = None
        state["_term_means"] = []
        state["_terms"] = None
        for name in _RUN_STATE:
            state[name] = None
        state["compiled"] = False
        state["run_eagerly"] = False
        state["steps_per_execution"] = 1
        state["stop_training"] = False

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _RUN_STATE:
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())  # type: ignore[arg-type]
        state.pop("_fast_call", None)
        state.pop("_fast_version", None)
        return state

    # Compiling

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how to train.

        Args:
            optimizer: an optimizer or its name. Default: ``"rmsprop"``.
            loss: a loss, its name or a function ``(y_true, y_pred)``; several outputs take one for all, a list
                or a dict by output name. None: no loss but penalties. Default: ``None``.
            loss_weights: factor of each loss in the total, in the structure of `loss`. Default: 1 each.
            metrics: list of metrics, their names or functions; several outputs take a list of lists or a dict.
                ``"accuracy"`` is chosen by the shapes. Default: none.
            weighted_metrics: the same, weighted by the sample weights. Default: none.
            run_eagerly: kept for Keras' signature; there is nothing to compile.
            steps_per_execution: batches between two calls of batch hooks, >= 1. Default: ``1``.
            jit_compile: kept for Keras' signature.
            auto_scale_loss: kept for Keras' signature; training does not lose small gradients.

        Raises:
            ValueError: for an unknown optimizer, or metrics or weights of the wrong kind.

        Example:

        >>> import densekit as keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile(optimizer="adam", loss="mse", metrics=["mae"])
        >>> model.compiled
        True
        """
        found = optimizers.get(optimizer)
        check_loss_weights(loss_weights)
        check_count(steps_per_execution, "steps_per_execution")
        given = metrics is not None or weighted_metrics is not None
        compiled_metrics = CompileMetrics(metrics, weighted_metrics) if given else None
        if jit_compile == "auto":
            jit_compile = not run_eagerly
        if jit_compile and run_eagerly:
            warnings.warn(
                "If `run_eagerly` is True, then `jit_compile` cannot also be True. "
                "Disabling `jit_compile`.",
                stacklevel=2,
            )
            jit_compile = False
        state = self.__dict__
        state["_compiled"] = {
            "optimizer": found,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile,
        }
        self.optimizer, self.loss = found, loss
        self.run_eagerly, self.jit_compile = run_eagerly, jit_compile
        self.steps_per_execution = steps_per_execution
        self.stop_training = False
        self.compiled = True
        self._reset_compiled(compiled_metrics)
        state["_shuffle_state"] = new_shuffle_state()

    def get_compile_config(self) -> dict[str, Any]:
        """The arguments of `compile`, as plain data; empty for a model that is not compiled."""
        if not self.compiled:
            return {}
        config: dict[str, Any] = serialize_keras_object(self._compiled)
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as `get_compile_config` says, and build the optimizer if the model is built."""
        if type(self).compile is not Trainer.compile:
            warnings.warn(
                "`compile()` was not called as part of model loading because the model's `compile()` "
                "method is custom. Override `get_compile_config()` and `compile_from_config(config)` "
                "too, or call `compile()` after loading.",
                stacklevel=2,
            )
            return
        self.compile(**deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    # Metrics

    @property
    def metrics(self) -> list[Any]:
        """The loss, the compiled metrics as one, single losses, then metrics of the layers."""
        found: list[Any] = []
        if self.compiled:
            found.append(self._loss_tracker)
            if self._compile_metrics is not None:
                found.append(self._compile_metrics)
            found.extend(self._term_means)
        found.extend(self._tracker.metrics)
        for layer in self._flatten_layers(include_self=False):
            if not isinstance(layer, Trainer):
                found.extend(layer._tracker.metrics)
        return found

    @property
    def metrics_names(self) -> list[str]:
        """Names of `metrics`."""
        return [metric.name for metric in self.metrics]

    def reset_metrics(self) -> None:
        """Forget what the metrics have seen."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """The present value of every metric by its name in the logs."""
        results: dict[str, Any] = {}
        for metric in self.metrics:
            if metric is self._compile_metrics and not metric.built:
                continue
            value = metric.result()
            if isinstance(value, dict):
                results.update(value)
            else:
                results[metric.name] = value
        return results

    # Running

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
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> History:
        """Train for some epochs.

        Args:
            x: array ``(samples, ...)``, a list or dict of arrays for several inputs, or an iterable of batches
                ``(x, y)`` or ``(x, y, sample_weight)``.
            y: targets, in the structure of the outputs; None if `x` yields them.
            batch_size: rows of a step, >= 1. Default: ``32``.
            epochs: last epoch, counted from 1. Default: ``1``.
            verbose: 0 silent, 1 a progress bar, 2 a line per epoch. Default: ``"auto"``, which is 1.
            callbacks: callbacks. Default: none but the `History` that is returned.
            validation_split: share of the rows, the last ones, that is kept for validation, in ``[0, 1)``.
                Default: ``0``.
            validation_data: ``(x, y)`` or ``(x, y, sample_weight)``, or an iterable of batches.
            shuffle: whether each epoch takes the rows in a new order; ``"batch"``: only inside batches.
                Default: ``True``.
            class_weight: weight of the samples of each class, by number. Default: 1 each.
            sample_weight: weight of each sample, or of each loss value. Default: 1 each.
            initial_epoch: epoch to begin with, for a training that goes on. Default: ``0``.
            steps_per_epoch: steps of an epoch. Default: until the data ends.
            validation_steps: steps of a validation. Default: until the data ends.
            validation_batch_size: rows of a validation step. Default: `batch_size`.
            validation_freq: validate every so many epochs, or in the listed ones. Default: ``1``.

        Returns:
            a `History`, whose ``history`` maps each key of the logs to one value per epoch.

        Raises:
            ValueError: for data, targets or weights that do not fit the model. It is unchanged then.

        Example:

        >>> import densekit as keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.ones((8, 2), "float32")
        >>> sorted(model.fit(x, x[:, 0], validation_split=0.5, verbose=0).history)
        ['loss', 'val_loss']
        """
        self._assert_trainable()
        epochs, initial_epoch = _index(epochs, "epochs"), _index(initial_epoch, "initial_epoch")
        _check_frequency(validation_freq)
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = train_validation_split(
                x, y, sample_weight, validation_split
            )
        feed = self._feed(
            x, y, sample_weight, class_weight, batch_size, steps_per_epoch, shuffle=shuffle
        )
        validation = None
        if validation_data is not None:
            validation = self._validation_feed(
                validation_data, validation_batch_size or batch_size, validation_steps
            )
        session = self._session(feed, training=True)
        tests = None if validation is None else self._session(validation, training=False)
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(
                callbacks,
                add_history=True,
                add_progbar=verbose != 0,
                verbose=verbose,
                epochs=epochs,
                steps=feed.num_batches,
                model=self,
            )
        self.stop_training = False
        logs: dict[str, Any] = {}
        callbacks.on_train_begin()
        initial_epoch = self._initial_epoch or initial_epoch
        try:
            for epoch in range(initial_epoch, epochs):
                self.reset_metrics()
                callbacks.on_epoch_begin(epoch)
                session = self._fresh(session, feed, True)
                run_epoch(self, session, feed, callbacks, training=True)
                logs = logs_of(self)
                if validation is not None and _is_due(epoch, validation_freq):
                    tests = self._fresh(tests, validation, False)
                    results = self._run_test(tests, validation, callbacks)
                    logs |= {f"val_{name}": value for name, value in results.items()}
                    logs = {name: logs[name] for name in sorted(logs)}
                callbacks.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
        finally:
            if epochs > 0 and self.optimizer.built:
                self.optimizer.finalize_variable_values(self.trainable_variables)
        callbacks.on_train_end(logs)
        assert isinstance(self.history, History)
        return self.history

    def _run_test(self, session: Any, feed: Any, callbacks: CallbackList) -> dict[str, Any]:
        self.stop_evaluating = False
        callbacks.on_test_begin()
        self.reset_metrics()
        run_epoch(self, session, feed, callbacks, training=False)
        logs = logs_of(self)
        callbacks.on_test_end(logs)
        return logs

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
        self._assert_compiled()
        if kwargs:
            raise ValueError(
                message("evaluate", "known arguments", f"{list(kwargs)}", "Check the spelling.")
            )
        feed = self._feed(x, y, sample_weight, None, batch_size, steps)
        session = self._session(feed, training=False)
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(
                callbacks,
                add_progbar=verbose != 0,
                verbose=verbose,
                epochs=1,
                steps=feed.num_batches,
                model=self,
            )
        logs = self._run_test(session, feed, callbacks)
        return logs if return_dict else self._in_order(logs)


def _index(value: Any, what: str) -> int:
    """A whole number."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    raise TypeError(message(f"`{what}`", "an integer", describe(value), "Pass a whole number."))


def _check_frequency(frequency: Any) -> None:
    if isinstance(frequency, int) and frequency >= 1 or isinstance(frequency, list | tuple | set):
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
