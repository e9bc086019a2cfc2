"""`Stepper`: the methods of `Model` for single batches, and those that subclasses write anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from densekit._core.frames import filters_traceback
from densekit._core.types import ArrayLike, Logs, TensorLike
from densekit.models._parts import Parts
from densekit.training._overrides import base_method
from densekit.training._turns import alone

Values: TypeAlias = Sequence[ArrayLike]  # of variables, in their order


class Stepper(Parts):
    """`train_on_batch`, `train_step`, `compute_loss` and what belongs to them."""

    # Single batches

    @filters_traceback
    @alone
    def train_on_batch(
        self,
        x: object,
        y: object = None,
        sample_weight: object = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One training step; arguments as for `fit`, results as for `evaluate`.

        Example:

        >>> import densekit as keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.ones((8, 2), "float32")
        >>> list(model.train_on_batch(x, x[:, 0], return_dict=True))
        ['loss']
        """
        if not self.compiled or self.optimizer is None:
            self._dk_compiled.check_to_train()
        return self._dk_batches.run(x, y, sample_weight, class_weight, return_dict, True)

    @filters_traceback
    @alone
    def test_on_batch(
        self, x: object, y: object = None, sample_weight: object = None, return_dict: bool = False
    ) -> Any:
        """Loss and metrics of one batch; arguments and results as for `evaluate`."""
        if not self.compiled:
            self._dk_compiled.check()
        return self._dk_batches.run(x, y, sample_weight, None, return_dict, False)

    @filters_traceback
    def predict_on_batch(self, x: object) -> Any:
        """Outputs for all rows as one batch; else the same as `predict`.

        Example:

        >>> import densekit as keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        >>> model.predict_on_batch(np.ones((8, 2), "float32")).shape
        (8, 3)
        """
        return self._dk_predictions.on_batch(x)

    # What subclasses write anew

    @base_method
    def train_step(self, *args: Any) -> Any:
        """One training step: predictions, loss, gradients, update, metrics.

        A subclass may write it anew, as ``train_step(self, data)`` or, without side effects, as
        ``train_step(self, state, data)`` with ``state = (trainable_variables,
        non_trainable_variables, optimizer_variables, metrics_variables)``, lists of values.

        Args:
            data: ``x``, ``(x, y)`` or ``(x, y, sample_weight)`` of one batch.

        Returns:
            the logs, a dict of numbers by name; with a state ``(logs, new_state)``.
        """
        return self._dk_steps.train(*args)

    @base_method
    def test_step(self, *args: Any) -> Any:
        """One step of an evaluation; arguments and results as for `train_step`.

        Its state is ``(trainable_variables, non_trainable_variables, metrics_variables)``.
        """
        return self._dk_steps.test(*args)

    @base_method
    def predict_step(self, *args: Any) -> Any:
        """The outputs of one batch; with a state of two lists ``(outputs, state)``."""
        return self._dk_steps.predict(*args)

    @base_method
    def make_train_function(self, force: bool = False) -> Callable[..., object]:
        """The function that makes training steps: of an iterator of batches, giving logs.

        Args:
            force: make it anew. Default: ``False``.
        """
        return self._dk_steps.function("train", force)

    @base_method
    def make_test_function(self, force: bool = False) -> Callable[..., object]:
        """The function that makes steps of an evaluation; as `make_train_function`."""
        return self._dk_steps.function("test", force)

    @base_method
    def make_predict_function(self, force: bool = False) -> Callable[..., object]:
        """The function that predicts batches: of an iterator of batches, giving outputs."""
        return self._dk_steps.function("predict", force)

    @base_method
    def compute_loss(
        self,
        x: object = None,
        y: object = None,
        y_pred: object = None,
        sample_weight: object = None,
        training: bool = True,
    ) -> Any:
        """The total loss of some predictions by the definitions: losses, their weights and
        penalties.
        """
        return self._dk_compiled.loss(y, y_pred, sample_weight)

    @base_method
    def compute_metrics(
        self,
        x: object = None,
        y: object = None,
        y_pred: object = None,
        sample_weight: object = None,
    ) -> Logs:
        """Add a batch to the compiled metrics and return the present values."""
        self._dk_compiled.update_metrics(y, y_pred, sample_weight)
        return self._dk_model.get_metrics_result()

    @base_method
    def stateless_compute_loss(
        self,
        trainable_variables: Values,
        non_trainable_variables: Values,
        metrics_variables: Values,
        x: object = None,
        y: object = None,
        y_pred: object = None,
        sample_weight: object = None,
        training: bool = True,
    ) -> tuple[TensorLike, tuple[Values, Values, Values]]:
        """`compute_loss` with given values for the variables; gives their values after it, too."""
        given = (trainable_variables, non_trainable_variables, metrics_variables)
        return self._dk_steps.stateless_loss(given, x, y, y_pred, sample_weight, training)
