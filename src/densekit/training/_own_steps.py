"""The steps that subclasses may write anew, and the session that calls them.

Keras code has two styles. On TensorFlow ``train_step(self, data)`` changes variables; on JAX
``train_step(self, state, data)`` is handed their values and returns new ones. The number of
arguments tells them apart.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from densekit import engines, training
from densekit._core import settings, tree
from densekit._core.boxes import unboxed
from densekit._core.dtypes import to_numpy_dtype
from densekit._core.engine import Block
from densekit._core.errors import message
from densekit._core.scope import StatelessScope, variable_scope
from densekit._core.tensor import lend_all
from densekit._core.text import as_strings, holds_text
from densekit._core.variable import Variable
from densekit.data._arrays import as_array
from densekit.data._columns import Columns, unpack_x_y_sample_weight
from densekit.training._not_finite import FiniteWatch
from densekit.training._run_metrics import CompileMetrics, LossMean

_MODES = {"train": "train_step", "test": "test_step", "predict": "predict_step"}
_LOSSES = ("compute_loss", "compute_metrics", "stateless_compute_loss")


class OwnSteps:
    """The part of `Trainer` with the steps of Keras, as formulas; the engine makes faster ones."""

    train_function: Any
    test_function: Any
    predict_function: Any

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
        model: Any = self
        if len(args) == 2:
            return _stateless_train_step(model, *args)
        (data,) = args
        logs = _by_session(model, data, True)
        if logs is not None:
            return logs
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        with training.GradientTape() as tape:
            y_pred = _call(model, x, training=True)
            loss = _compute_loss(model, x, y, y_pred, sample_weight, True)
            scaled = loss
            if model.optimizer is not None:
                scaled = model.optimizer.scale_loss(loss)
        _track_loss(model, loss, x)
        variables = model.trainable_weights
        if variables and model.optimizer is not None:
            gradients = tape.gradient(scaled, variables)
            model.optimizer.apply(gradients, variables)
        y_pred = tree.map_structure(unboxed, y_pred)
        return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def test_step(self, *args: Any) -> Any:
        """One step of an evaluation; arguments and results as for `train_step`.

        Its state is ``(trainable_variables, non_trainable_variables, metrics_variables)``.
        """
        model: Any = self
        if len(args) == 2:
            return _stateless_test_step(model, *args)
        logs = _by_session(model, args[0], False)
        if logs is not None:
            return logs
        x, y, sample_weight = unpack_x_y_sample_weight(args[0])
        y_pred = _call(model, x, training=False)
        loss = _compute_loss(model, x, y, y_pred, sample_weight, False)
        _track_loss(model, loss, x)
        return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def predict_step(self, *args: Any) -> Any:
        """The outputs of one batch; with a state of two lists ``(outputs, state)``."""
        model: Any = self
        x = unpack_x_y_sample_weight(args[-1])[0]
        if len(args) == 2:
            trainable, other = args[0]
            outputs, other = model.stateless_call(trainable, other, x, training=False)
            return outputs, (trainable, other)
        return _call(model, x, training=False)

    def stateless_compute_loss(
        self,
        trainable_variables: Any,
        non_trainable_variables: Any,
        metrics_variables: Any,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tuple[Any, tuple[Any, Any, Any]]:
        """`compute_loss` with given values for the variables; gives their values after it, too."""
        model: Any = self
        given = (trainable_variables, non_trainable_variables, metrics_variables)
        own = (model.trainable_variables, model.non_trainable_variables, model.metrics_variables)
        pairs = [
            pair
            for variables, values in zip(own, given, strict=True)
            for pair in zip(variables, values, strict=True)
        ]
        with StatelessScope(pairs) as scope:
            loss = _compute_loss(model, x, y, y_pred, sample_weight, training)
        after = tuple([scope.get_current_value(v) for v in variables] for variables in own)
        return loss, (after[0], after[1], after[2])

    # Functions of several steps: Keras compiles them, here they are plain loops.

    def make_train_function(self, force: bool = False) -> Callable[..., Any]:
        """The function that makes training steps: of an iterator of batches, giving logs.

        Args:
            force: make it anew. Default: ``False``.
        """
        return self._dk_make_function("train", force)

    def make_test_function(self, force: bool = False) -> Callable[..., Any]:
        """The function that makes steps of an evaluation; as `make_train_function`."""
        return self._dk_make_function("test", force)

    def make_predict_function(self, force: bool = False) -> Callable[..., Any]:
        """The function that predicts batches: of an iterator of batches, giving outputs."""
        return self._dk_make_function("predict", force)

    def _dk_make_function(self, mode: str, force: bool) -> Callable[..., Any]:
        name = f"{mode}_function"
        known: Callable[..., Any] | None = getattr(self, name, None)
        if known is None or force:
            known = _function_of_steps(self, mode)
            self.__dict__[name] = known
        return known

    def _dk_has_own_step(self, mode: str) -> bool:
        """Whether a subclass wrote a part of the step anew, so that it is called from Python."""
        kind: Any = type(self)
        return _has_own_step(kind, mode)

    @classmethod
    def _dk_base_method(cls, name: str) -> Any:
        """What a method is without subclasses of users."""
        raise NotImplementedError


@cache
def _has_own_step(kind: Any, mode: str) -> bool:
    names = [_MODES[mode], f"make_{mode}_function"]
    names += _LOSSES if mode != "predict" else []
    return any(getattr(kind, name) is not kind._dk_base_method(name) for name in names)


def _function_of_steps(model: Any, mode: str) -> Callable[..., Any]:
    """A loop over the model's own step."""
    step = getattr(model, _MODES[mode])
    stateless = is_stateless(step)

    def function(batches: Iterator[Any]) -> Any:
        results: Any = None
        for data in batches:
            if stateless:
                results = _with_state(model, mode, step, data)
            else:
                results = step(data)
        return results

    return function


def is_stateless(step: Callable[..., Any]) -> bool:
    """Whether a step takes ``(state, data)`` rather than ``(data)``."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(step).parameters.values()
    required = [p for p in parameters if p.kind in kinds and p.default is p.empty]
    return len(required) > 1


def _state_of(model: Any, mode: str) -> list[list[Variable]]:
    """The variables of a state, list by list."""
    lists = [model.trainable_variables, model.non_trainable_variables]
    if mode == "train":
        lists.append(model.optimizer.variables if model.optimizer is not None else [])
    if mode != "predict":
        lists.append(model.metrics_variables)
    return lists


def _with_state(model: Any, mode: str, step: Callable[..., Any], data: Any) -> Any:
    """The result of a step without side effects, whose new state goes to the variables."""
    lists = _state_of(model, mode)
    state = tuple([v.numpy() for v in variables] for variables in lists)
    result = step(state, data)
    if not (isinstance(result, tuple) and len(result) == 2 and len(result[1]) == len(lists)):
        raise ValueError(
            message(
                f"{type(model).__name__}.{_MODES[mode]}",
                f"`(logs, state)` with a state of {len(lists)} lists",
                type(result).__name__,
                "Return the new values of all that was handed in.",
            )
        )
    logs, after = result
    for variables, values in zip(lists, after, strict=True):
        if len(variables) != len(values):
            raise ValueError(
                message(
                    f"{type(model).__name__}.{_MODES[mode]}",
                    f"{len(variables)} values",
                    f"{len(values)}",
                    "Return one value for each variable.",
                )
            )
        for variable, value in zip(variables, values, strict=True):
            variable.assign(np.asarray(unboxed(value)))
    for metric in model.metrics:
        if isinstance(metric, LossMean):
            metric.forget_sums()
    return logs


def _by_session(model: Any, data: Any, training: bool) -> dict[str, Any] | None:
    """The logs of a step that the engine makes as a whole; None where only the formula will do."""
    kind: Any = type(model)
    if variable_scope() is not None or not _is_whole(kind) or not model._dk_has_call:
        return None
    if not model.compiled or model.loss is None or (training and model.optimizer is None):
        return None
    x, y, sample_weight = unpack_x_y_sample_weight(data)
    for part in (x, y, () if sample_weight is None else sample_weight):
        if type(part) is not np.ndarray and not all(
            type(leaf) is np.ndarray for leaf in tree.flatten(part)
        ):
            return None
    session, block = model._dk_one_step(x, y, sample_weight, None, training)
    session.run(block, training)
    logs: dict[str, Any] = model.get_metrics_result()
    return logs


@cache
def _is_whole(kind: Any) -> bool:
    """Whether no subclass wrote the loss or the metrics of a step anew."""
    return all(getattr(kind, name) is kind._dk_base_method(name) for name in _LOSSES)


def _call(model: Any, x: Any, training: bool) -> Any:
    return model(x, training=training)


def _compute_loss(
    model: Any, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool
) -> Any:
    """`compute_loss`, which a subclass may have written without the argument `training`."""
    given = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": sample_weight}
    parameters = inspect.signature(model.compute_loss).parameters
    if "training" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        given["training"] = training
    return model.compute_loss(**given)


def _track_loss(model: Any, loss: Any, x: Any) -> None:
    rows = next((len(leaf) for leaf in tree.flatten(x) if np.ndim(leaf)), 1)
    model._loss_tracker.update_state(unboxed(loss), sample_weight=rows)


def _stateless_train_step(model: Any, state: Any, data: Any) -> Any:
    trainable, other, optimizer, metrics = state
    x, y, sample_weight = unpack_x_y_sample_weight(data)

    def loss_of(trainable: Any, other: Any, metrics: Any) -> Any:
        y_pred, other, losses = model.stateless_call(
            trainable, other, x, training=True, return_losses=True
        )
        loss, (_, other, metrics) = model.stateless_compute_loss(
            trainable, other, metrics, x, y, y_pred, sample_weight, True
        )
        loss = sum(losses, loss) if losses else loss
        scaled = loss if model.optimizer is None else model.optimizer.scale_loss(loss)
        return scaled, (loss, y_pred, other, metrics)

    (_, (loss, y_pred, other, metrics)), gradients = training.value_and_grad(loss_of, has_aux=True)(
        trainable, other, metrics
    )
    trainable, optimizer = model.optimizer.stateless_apply(optimizer, gradients, trainable)
    logs, metrics = _stateless_metrics(model, metrics, loss, x, y, y_pred, sample_weight)
    return logs, (trainable, other, optimizer, metrics)


def _stateless_test_step(model: Any, state: Any, data: Any) -> Any:
    trainable, other, metrics = state
    x, y, sample_weight = unpack_x_y_sample_weight(data)
    y_pred, other, losses = model.stateless_call(
        trainable, other, x, training=False, return_losses=True
    )
    loss, (_, other, metrics) = model.stateless_compute_loss(
        trainable, other, metrics, x, y, y_pred, sample_weight, False
    )
    loss = sum(losses, loss) if losses else loss
    logs, metrics = _stateless_metrics(model, metrics, loss, x, y, y_pred, sample_weight)
    return logs, (trainable, other, metrics)


def _stateless_metrics(
    model: Any, values: Any, loss: Any, x: Any, y: Any, y_pred: Any, sample_weight: Any
) -> tuple[Any, list[Any]]:
    variables = model.metrics_variables
    with StatelessScope(zip(variables, values, strict=True)) as scope:
        _track_loss(model, loss, x)
        logs = model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)
        after = [scope.get_current_value(v) for v in variables]
    return logs, after


class StepSession:
    """What calls the steps that a user wrote: the counterpart of `Session`.

    Args:
        training: whether the steps train.
        watch: warns of losses that are not finite; None: nobody does.
    """

    def __init__(
        self, model: Any, data: BatchStructure, training: bool, watch: FiniteWatch | None = None
    ) -> None:
        self.watch = watch
        self._model = model
        self._data = data
        mode = "train" if training else "test"
        getattr(model, f"make_{mode}_function")()
        self._function = getattr(model, f"{mode}_function")
        self._logs: Any = None

    def block_steps(self, feed: Any) -> int:
        """Steps of one call of the function."""
        return int(self._model.steps_per_execution)

    def run(self, block: Block, training: bool) -> None:
        """Run the steps of a block."""
        with engines.inside(self._model._dk_runtime.kind):
            self._logs = self._function(self._data.batches(block))
        if self.watch is not None and isinstance(self._logs, dict):
            for name, value in self._logs.items():
                if "loss" in name and np.ndim(value) == 0:
                    self.watch.look_at_last(block, float(value))

    def logs(self, model: Any) -> dict[str, Any]:
        """The values of the metrics, if they go by the names of what the step returned; or that."""
        values: dict[str, Any] = model.get_metrics_result()
        if isinstance(self._logs, dict) and set(self._logs) != set(values):
            values = {}
            for name, value in self._logs.items():
                values |= value if isinstance(value, dict) else {name: value}
        return {name: plain(values[name]) for name in sorted(values)}


def plain(value: Any) -> Any:
    """A Python float; if it is no scalar the value itself, which no callback can change."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return lend_all(unboxed(value))


class BatchStructure:
    """Takes data apart into columns, and puts batches together as the user structured them.

    Args:
        text: whether inputs may hold strings.
    """

    def __init__(self, text: bool = False) -> None:
        self._text = text
        self._structures: list[Any] = [None, None, None]

    def columns(self, x: Any, y: Any, sample_weight: Any) -> Any:
        """Columns of a feed: flat lists of arrays."""
        given = [x, y, sample_weight]
        self._structures = given
        names = ("x", "y", "sample_weight")
        return tuple(
            [] if part is None else [self._column(leaf, name) for leaf in tree.flatten(part)]
            for part, name in zip(given, names, strict=True)
        )

    def _column(self, leaf: Any, name: str) -> Any:
        if self._text and name == "x" and holds_text(leaf):
            return as_strings(leaf, "`x`")
        return as_array(leaf, name)

    def batches(self, block: Block) -> Iterator[Any]:
        """The batches of a block, one for each step."""
        columns = (block.inputs, block.targets, block.weights)
        for start in range(0, len(block.picks), block.batch_size):
            picks = block.picks[start : start + block.batch_size]
            first = None if block.start is None else block.start + start
            yield self._batch(columns, picks, first)

    def _batch(self, columns: Sequence[Any], picks: Any, first: int | None) -> Any:
        parts: list[Any] = []
        for structure, leaves in zip(self._structures, columns, strict=True):
            if structure is None:
                break
            rows = [_rows(leaf, picks, first) for leaf in leaves]
            parts.append(tree.pack_as(structure, rows))
        if len(parts) == 1 and not isinstance(parts[0], list | tuple):
            return parts[0]
        return tuple(parts)


def _rows(column: Any, picks: Any, first: int | None) -> Any:
    """A batch of a column: the user's to keep and to change; floats in the default type."""
    rows = column[first : first + len(picks)] if first is not None else column.take(picks, axis=0)
    dtype = rows.dtype
    if dtype.kind == "f":
        dtype = to_numpy_dtype(settings.floatx())
    return np.array(rows, dtype) if first is not None or rows.dtype != dtype else rows


def build_metrics(model: Any, y: Any, signature: Any) -> None:
    """Make the compiled metrics before the first step without side effects."""
    metrics: CompileMetrics | None = model._compile_metrics
    if metrics is not None and not metrics.built:
        columns: Columns = [np.asarray(leaf) for leaf in tree.flatten(y)]
        metrics.build(signature, columns, model._dk_is_named())
