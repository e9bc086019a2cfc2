"""`Trainer`: the methods of `Model` that compile, train, evaluate and predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from densekit._core.errors import message
from densekit._core.frames import filters_traceback, hide_internal_frames, warn
from densekit._core.types import Config, Logs
from densekit.models._parts import Parts
from densekit.training._compiled import Compiled, results_of
from densekit.training._turns import alone

if TYPE_CHECKING:
    from densekit.callbacks import History
    from densekit.metrics import Metric
    from densekit.training._run_metrics import CompileMetrics, LossMean


class Trainer(Parts):
    """`compile`, `fit`, `evaluate`, `predict` and what belongs to them."""

    # Compiling

    @filters_traceback
    def compile(
        self,
        optimizer: object = "rmsprop",
        loss: object = None,
        loss_weights: object = None,
        metrics: object = None,
        weighted_metrics: object = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: object = "auto",
        auto_scale_loss: bool = True,
        *,
        engine: str | None = None,
    ) -> None:
        """Say how to train.

        Args:
            optimizer: an optimizer or its name. Default: ``"rmsprop"``.
            loss: a loss, its name or a function ``(y_true, y_pred)``; several outputs take one
                for all, a list or a dict by output name. A loss that is given for a nested part
                is of its outputs together. None: no loss but penalties. Default: ``None``.
            loss_weights: factor of each loss in the total, in the structure of `loss`. Default: 1
                each.
            metrics: list of metrics, their names or functions; several outputs take a list of
                lists or a dict. ``"accuracy"`` is chosen by the shapes. Default: none.
            weighted_metrics: the same, weighted by the sample weights. Default: none.
            run_eagerly: whether the Python of an own `train_step` runs in each step, even where it
                could be followed. Default: ``False``.
            steps_per_execution: batches between two calls of batch hooks, >= 1. Default: ``1``.
            jit_compile: kept for Keras' signature.
            auto_scale_loss: with the policy "mixed_float16", wrap the optimizer in a
                `LossScaleOptimizer`. Default: ``True``.
            engine: ``"native"``; ``"jax"``, which compiles the definitions by XLA; or
                ``"reference"``, which computes by them alone. Default: `config.engine()`.

        Raises:
            ValueError: for an unknown optimizer or engine, or metrics or weights of the wrong kind.

        Example:

        >>> import densekit as keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile(optimizer="adam", loss="mse", metrics=["mae"])
        >>> model.compiled
        True
        """
        self._dk_compiled.compile(
            optimizer,
            loss,
            loss_weights,
            metrics,
            weighted_metrics,
            run_eagerly,
            steps_per_execution,
            jit_compile,
            engine,
            auto_scale_loss and self.dtype_policy.name == "mixed_float16",
        )
        batches = self.__dict__.get("_dk_batches")
        if batches is not None:
            batches.quick.clear()

    def get_compile_config(self) -> Config:
        """The arguments of `compile`, as plain data; empty for a model that is not compiled."""
        return self._dk_compiled.config() if self.compiled else {}

    def compile_from_config(self, config: Config) -> None:
        """Compile as `get_compile_config` says, and build the optimizer if the model is built."""
        if type(self).compile is not Trainer.compile:
            warn(
                "`compile()` was not called as part of model loading because the model's "
                "`compile()` method is custom. Override `get_compile_config()` and "
                "`compile_from_config(config)` too, or call `compile()` after loading."
            )
            return
        self.compile(**Compiled.arguments_of(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self._dk_model.trainable_variables)

    # Metrics

    @property
    def metrics(self) -> list[Metric]:
        """The loss, the compiled metrics as one, single losses, then metrics of the layers."""
        return self._dk_compiled.reported()

    @property
    def metrics_names(self) -> list[str]:
        """Names of `metrics`."""
        return [metric.name for metric in self.metrics]

    @property
    def _loss_tracker(self) -> LossMean | None:
        return self._dk_compiled.loss_mean

    @_loss_tracker.setter
    def _loss_tracker(self, value: LossMean | None) -> None:
        self._dk_compiled.loss_mean = value

    @property
    def _compile_metrics(self) -> CompileMetrics | None:
        return self._dk_compiled.metrics

    @_compile_metrics.setter
    def _compile_metrics(self, value: CompileMetrics | None) -> None:
        self._dk_compiled.metrics = value

    def reset_metrics(self) -> None:
        """Forget what the metrics have seen."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> Logs:
        """The present value of every metric by its name in the logs."""
        return results_of(self.metrics)

    # Data sets

    @filters_traceback
    @alone
    def fit(
        self,
        x: object = None,
        y: object = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: object = "auto",
        callbacks: object = None,
        validation_split: float = 0.0,
        validation_data: object = None,
        shuffle: object = True,
        class_weight: dict[int, float] | str | None = None,
        sample_weight: object = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: object = 1,
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
        return self._dk_fitting.fit(
            x,
            y,
            batch_size,
            epochs,
            verbose,
            callbacks,
            validation_split,
            validation_data,
            shuffle,
            class_weight,
            sample_weight,
            initial_epoch,
            steps_per_epoch,
            validation_steps,
            validation_batch_size,
            validation_freq,
        )

    @filters_traceback
    @alone
    def evaluate(
        self,
        x: object = None,
        y: object = None,
        batch_size: int | None = None,
        verbose: object = "auto",
        sample_weight: object = None,
        steps: int | None = None,
        callbacks: object = None,
        return_dict: bool = False,
        **kwargs: object,
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
        if kwargs:
            self._dk_compiled.check()
            raise ValueError(
                message("evaluate", "known arguments", f"{list(kwargs)}", "Check the spelling.")
            )
        return self._dk_fitting.evaluate(
            x, y, batch_size, verbose, sample_weight, steps, callbacks, return_dict
        )

    def predict(
        self,
        x: object,
        batch_size: int | None = None,
        verbose: object = "auto",
        steps: int | None = None,
        callbacks: object = None,
    ) -> Any:
        """Outputs for many samples; the same bits as ``model(x)``, whatever the batch size.

        Args:
            x: as for `fit`, without targets.
            batch_size: rows per call of a batch hook, >= 1. Default: ``32``.
            verbose: 0 silent, 1 a progress bar. Default: ``"auto"``: a bar if it takes a quarter
                of a second.
            steps: batches to look at. Default: all.
            callbacks: callbacks. Default: none.

        Returns:
            an array ``(samples, ...)``, or the structure of arrays that the model gives.

        Raises:
            ValueError: for data that does not fit the model.

        Example:

        >>> import densekit as keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        >>> model.predict(np.ones((8, 2), "float32")).shape
        (8, 3)
        """
        try:
            return self._dk_predictions.predict(x, batch_size, verbose, steps, callbacks)
        except Exception as error:
            hide_internal_frames(error)
            raise
