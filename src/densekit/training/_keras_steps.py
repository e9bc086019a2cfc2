"""`KerasSteps`: what `train_step` and its like do unless a subclass writes them anew."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from densekit._core import tree
from densekit._core.boxes import unboxed
from densekit._core.scope import StatelessScope, variable_scope
from densekit._core.types import ArrayLike, Logs, TensorLike
from densekit._core.variable import Variable
from densekit.data._columns import unpack_x_y_sample_weight
from densekit.training._compiled import Compiled
from densekit.training._overrides import has_own_loss
from densekit.training._own_steps import StepLoop
from densekit.training._single_batches import SingleBatches
from densekit.training._tape import GradientTape
from densekit.training._value_and_grad import value_and_grad

if TYPE_CHECKING:
    from densekit.training._model import TrainableModel


Values: TypeAlias = Sequence[ArrayLike]  # of variables, in their order
State: TypeAlias = tuple[Values, ...]  # of trainable variables, others, the optimizer and metrics


class KerasSteps:
    """The steps of Keras of one model, as formulas; the engine makes faster ones."""

    def __init__(self, model: TrainableModel, compiled: Compiled, batches: SingleBatches) -> None:
        self._model = model
        self._compiled = compiled
        self._batches = batches

    def train(self, *args: Any) -> Any:
        """One training step: predictions, loss, gradients, update, metrics."""
        if len(args) == 2:
            return self._train_without_effects(*args)
        model, (data,) = self._model, args
        logs = self._by_session(data, True)
        if logs is not None:
            return logs
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        with GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = _compute_loss(model, x, y, y_pred, sample_weight, True)
            scaled = loss
            if model.optimizer is not None:
                scaled = model.optimizer.scale_loss(loss)
        self._track_loss(loss, x)
        variables = model.trainable_variables
        if variables and model.optimizer is not None:
            gradients = tape.gradient(scaled, variables)
            model.optimizer.apply(gradients, variables)
        y_pred = tree.map_structure(unboxed, y_pred)
        return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def test(self, *args: Any) -> Any:
        """One step of an evaluation."""
        if len(args) == 2:
            return self._test_without_effects(*args)
        model = self._model
        logs = self._by_session(args[0], False)
        if logs is not None:
            return logs
        x, y, sample_weight = unpack_x_y_sample_weight(args[0])
        y_pred = model(x, training=False)
        loss = _compute_loss(model, x, y, y_pred, sample_weight, False)
        self._track_loss(loss, x)
        return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def predict(self, *args: Any) -> Any:
        """The outputs of one batch."""
        x = unpack_x_y_sample_weight(args[-1])[0]
        if len(args) == 2:
            trainable, other = args[0]
            outputs, other = self._model.stateless_call(trainable, other, x, training=False)
            return outputs, (trainable, other)
        return self._model(x, training=False)

    def stateless_loss(
        self,
        given: Sequence[Values],
        x: object,
        y: object,
        y_pred: object,
        sample_weight: object,
        training: bool,
    ) -> tuple[TensorLike, tuple[Values, Values, Values]]:
        """`compute_loss` with given values for the variables; gives their values after it, too."""
        model = self._model
        own = (model.trainable_variables, model.non_trainable_variables, model.metrics_variables)
        pairs = [
            pair
            for variables, values in zip(own, given, strict=True)
            for pair in zip(variables, values, strict=True)
        ]
        with StatelessScope(pairs) as scope:
            loss = _compute_loss(model, x, y, y_pred, sample_weight, training)
        trainable, others, metrics = (_values_in(scope, variables) for variables in own)
        return loss, (trainable, others, metrics)

    def function(self, mode: str, force: bool) -> Callable[..., object]:
        """The loop over steps that the model keeps as ``train_function`` and the like."""
        model, name = self._model, f"{mode}_function"
        known: Callable[..., object] | None = getattr(model, name, None)
        if known is None or force:
            known = StepLoop(model, self._compiled, mode)
            model.__dict__[name] = known
        return known

    def _by_session(self, data: object, training: bool) -> Logs | None:
        """The logs of a step that the engine makes as a whole; None where only the formula will
        do.
        """
        model = self._model
        if variable_scope() is not None or has_own_loss(type(model)) or not model._dk_has_call:
            return None
        if not model.compiled or model.loss is None or (training and model.optimizer is None):
            return None
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        for part in (x, y, () if sample_weight is None else sample_weight):
            if type(part) is not np.ndarray and not all(
                type(leaf) is np.ndarray for leaf in tree.flatten(part)
            ):
                return None
        session, chunk = self._batches.session_and_chunk(x, y, sample_weight, None, training)
        session.run(chunk, training)
        return model.get_metrics_result()

    def _track_loss(self, loss: TensorLike, x: object) -> None:
        rows = next((len(leaf) for leaf in tree.flatten(x) if np.ndim(leaf)), 1)
        assert self._compiled.loss_mean is not None
        self._compiled.loss_mean.update_state(unboxed(loss), sample_weight=rows)

    # With states in place of side effects

    def _train_without_effects(self, state: State, data: object) -> tuple[Logs, State]:
        model = self._model
        trainable, other, optimizer, metrics = state
        x, y, sample_weight = unpack_x_y_sample_weight(data)

        def loss_of(trainable: Values, other: Values, metrics: Values) -> object:
            y_pred, other, losses = model.stateless_call(
                trainable, other, x, training=True, return_losses=True
            )
            loss, (_, other, metrics) = model.stateless_compute_loss(
                trainable, other, metrics, x, y, y_pred, sample_weight, True
            )
            loss = sum(losses, loss) if losses else loss
            scaled = loss if model.optimizer is None else model.optimizer.scale_loss(loss)
            return scaled, (loss, y_pred, other, metrics)

        gradient_of = value_and_grad(loss_of, has_aux=True)
        (_, (loss, y_pred, other, metrics)), gradients = gradient_of(trainable, other, metrics)
        trainable, optimizer = model.optimizer.stateless_apply(optimizer, gradients, trainable)
        logs, metrics = self._stateless_metrics(metrics, loss, x, y, y_pred, sample_weight)
        return logs, (trainable, other, optimizer, metrics)

    def _test_without_effects(self, state: State, data: object) -> tuple[Logs, State]:
        model = self._model
        trainable, other, metrics = state
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred, other, losses = model.stateless_call(
            trainable, other, x, training=False, return_losses=True
        )
        loss, (_, other, metrics) = model.stateless_compute_loss(
            trainable, other, metrics, x, y, y_pred, sample_weight, False
        )
        loss = sum(losses, loss) if losses else loss
        logs, metrics = self._stateless_metrics(metrics, loss, x, y, y_pred, sample_weight)
        return logs, (trainable, other, metrics)

    def _stateless_metrics(
        self,
        values: Values,
        loss: TensorLike,
        x: object,
        y: object,
        y_pred: object,
        sample_weight: object,
    ) -> tuple[Logs, list[TensorLike]]:
        variables = self._model.metrics_variables
        with StatelessScope(zip(variables, values, strict=True)) as scope:
            self._track_loss(loss, x)
            logs = self._model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)
        return logs, _values_in(scope, variables)


def _values_in(scope: StatelessScope, variables: list[Variable]) -> list[TensorLike]:
    """What variables read as in a scope that has a value for each."""
    values = (scope.get_current_value(v) for v in variables)
    return [value for value in values if value is not None]


def _compute_loss(
    model: TrainableModel,
    x: object,
    y: object,
    y_pred: object,
    sample_weight: object,
    training: bool,
) -> TensorLike:
    """`compute_loss`, which a subclass may have written without the argument `training`."""
    given = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": sample_weight}
    parameters = inspect.signature(model.compute_loss).parameters
    if "training" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        given["training"] = training
    loss: TensorLike = model.compute_loss(**given)
    return loss
