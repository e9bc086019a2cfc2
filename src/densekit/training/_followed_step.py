"""A user's own step that an engine makes, with what it was followed from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import attrgetter
from types import FunctionType
from typing import TYPE_CHECKING, cast

import numpy as np

from densekit import engines
from densekit._core import assignments, settings, tree
from densekit._core.engine import Chunk, Engine
from densekit._core.native_form import native_form
from densekit._core.own_step import StepSource, StepTerm
from densekit._core.plan import NotLowerable
from densekit._core.types import Array
from densekit._core.variable import Variable
from densekit.engines.following import Ends, follow_call
from densekit.layers import Layer
from densekit.layers._base.losses import sublayers
from densekit.ops import KerasTensor
from densekit.training._built_from import numbers_of
from densekit.training._compiled import Compiled
from densekit.training._stateless import forget_sums, state_of
from densekit.training._step_calls import StepCalls
from densekit.training._step_data import BatchStructure, rows_of
from densekit.training._step_reader import StepReader
from densekit.training._step_values import (
    BatchLoss,
    MetricUpdate,
    MetricValue,
    RowLoss,
    ends_of,
    value_of,
    weights_of,
)

if TYPE_CHECKING:
    from densekit.training._model import TrainableModel

_PREDICTION_BYTES = 1 << 26
_trainable = attrgetter("trainable")


class FollowedStep:
    """Makes the steps of a model that has one of its own.

    Args:
        function: the step as the class has it.
        data: how batches are put together.
        chunk: some batches.
        is_stateless: whether it is handed values of variables, and returns new ones.

    Raises:
        NotLowerable: if not all of the step is understood, or has a native form.
    """

    def __init__(
        self,
        model: TrainableModel,
        compiled: Compiled,
        function: FunctionType,
        data: BatchStructure,
        chunk: Chunk,
        is_stateless: bool = False,
    ) -> None:
        self._model, self._compiled = model, compiled
        self._floatx = settings.floatx()
        columns = data.columns_of(chunk)
        self._is_stateless = is_stateless
        self._kinds = _kinds(columns)
        tensors = [_symbol(column, self._floatx) for column in columns]
        calls = StepCalls(model, compiled, tensors)
        wanted: list[KerasTensor] = []
        refused: list[NotLowerable] = []

        def run() -> Ends:
            state = state_of(model, "train")
            given = [tuple(map(calls.state.values, state))] if is_stateless else []
            try:
                args = [model, *given, data.packed(tensors)]
                logs = StepReader(calls).run(function, args, {})
                calls.effects.logs = _without_state(calls, logs, state) if is_stateless else logs
                wanted.extend(_outputs_of(calls))
            except NotLowerable as why:
                refused.append(why)
                raise
            return list(wanted), [None] * len(wanted)

        try:
            graph = follow_call(run, tensors, "it")
        except NotLowerable as why:
            raise (refused or [why])[0] from None  # as it was said first
        finally:
            calls.forget_nodes()
        self._reads, self._effects, self._drawn = calls.reads, calls.effects, calls.drawn
        self._reads.settle()
        loss = self._effects.loss
        assert loss is not None  # or `_outputs_of` had refused
        read = {id(x) for node in graph.nodes for x in node.input_tensors}
        self._read = [i for i, x in enumerate(tensors) if id(x) in read]
        graph.inputs = [tensors[i] for i in self._read]
        self._is_bare = isinstance(loss, RowLoss)
        self.optimizer = model.optimizer
        self._outputs = wanted
        self._places = {id(x): i for i, x in enumerate(wanted)}
        self._columns = {id(x): i for i, x in enumerate(tensors)}
        self._keep = tensors
        self._asked = {id(x) for x in _asked(calls.effects.updates)}
        self._layers: list[Layer] = [*calls.reads.layers.values()]
        self._layers += [cast("Layer", model), *(layer for layer, _ in calls.callees)]
        _check_state(calls.callees)
        self._kind = engines.engine_kind()
        self._kind_of = np.dtype(self._floatx).type
        self._ends = ends_of(loss)
        # Targets, and weights of samples, by the output that they belong to.
        self._compared: dict[int, tuple[int, int]] = {}
        for end in self._ends:
            if end.target >= 0:
                pair = end.target, end.weights
                if self._compared.setdefault(self._places[id(end.rows)], pair) != pair:
                    raise NotLowerable("one output is compared with several targets")
        weights = weights_of(loss, self._kind_of(1))
        terms = [
            StepTerm(self._places[id(e.rows)], e.reduction, e.loss, float(weights[id(e)]))
            for e in self._ends
        ]
        source = StepSource(
            graph,
            terms,
            self._floatx,
            self._effects.variables,
            self.optimizer,
        )
        engine = self._kind.own_step(source)
        if engine is None:
            raise NotLowerable(f"the engine {self._kind.name!r} does not make it")
        self.engine: Engine = engine
        logs = self._effects.logs
        reported = logs.items() if isinstance(logs, dict) else ()
        self.loss_names = [name for name, value in reported if value is loss]
        for layer in self._layers:
            layer._dk_version()  # listens to the trackers of its parts from now on
        self._weights = [v for layer in self._layers for v in layer.variables]
        self._versions = self._now()
        self._count = assignments.count()
        self._numbers = self._numbers_now()

    # Whether it still holds

    def _now(self) -> object:
        """What is another value after a change of a layer or of what is trained."""
        trackers = [(x._dk_version(), x._tracker.flags) for x in self._layers]
        return trackers, list(map(_trainable, self._weights))

    def _numbers_now(self) -> object:
        losses = [end.loss for end in self._ends]
        forms = [None if loss is None else (native_form(loss), loss.reduction) for loss in losses]
        numbers = numbers_of([], self._effects.variables, [], self.optimizer)
        return numbers, forms, self._compiled.terms, self._compiled.metrics

    def takes(self, columns: Sequence[Array]) -> bool:
        """Whether data are like those that it was followed with."""
        return _kinds(columns) == self._kinds

    def holds(self) -> bool:
        """Whether the step would be found to do the same again."""
        if self._model.optimizer is not self.optimizer:
            return False
        if self._kind is not engines.engine_kind() or not self._reads.hold():
            return False
        if self._now() != self._versions or self._floatx != settings.floatx():
            return False
        if self._count != assignments.count():
            if self._numbers != self._numbers_now():
                return False
            self._count = assignments.count()
        return True

    # Running

    def chunk_steps(self, batch_size: int) -> int:
        """Steps of one call of the engine."""
        asked = [x for x in self._outputs if id(x) in self._asked]
        bytes_of_row = 8 * sum(math.prod(_sizes(x)) for x in asked)
        rows = min(self.engine.chunk_rows, _PREDICTION_BYTES / max(bytes_of_row, 1))
        return max(1, int(rows // batch_size))

    def train(self, chunk: Chunk, columns: Sequence[Array]) -> tuple[Array, list[Array | None]]:
        """Make the steps of a chunk: their losses, and what metrics look at."""
        targets: list[Array | None] = [None] * len(self._outputs)
        weights: list[Array | None] = [None] * len(self._outputs)
        for place, (target, weight) in self._compared.items():
            targets[place] = columns[target]
            weights[place] = None if weight < 0 else columns[weight]
        inputs = [columns[i] for i in self._read]
        own = chunk._replace(inputs=inputs, targets=targets, weights=weights)
        rooms: list[Array | None] = [
            np.empty((chunk.rows, math.prod(_sizes(x))), self._floatx)
            if id(x) in self._asked
            else None
            for x in self._outputs
        ]
        return self.engine.train(own, rooms)[:, 1:].astype(self._floatx), rooms

    def run(self, chunk: Chunk, columns: Sequence[Array]) -> tuple[object, Array]:
        """The same, as Python would make them: what the last one returns, and all losses."""
        ends, rooms = self.train(chunk, columns)
        if self._effects.updates:
            for i, step in enumerate(chunk.single_steps()):
                first = i * chunk.batch_size
                made = [None if y is None else y[first : first + step.rows] for y in rooms]
                self._follow(step, columns, made, ends[i])
        losses = ends[:, 0] if self._is_bare else np.array([self.loss_of(one) for one in ends])
        return self._logs(ends[-1]), losses

    def loss_of(self, ends: Array) -> object:
        """The loss of a step."""
        assert self._effects.loss is not None
        return self._number(self._effects.loss, ends)

    def _number(self, loss: BatchLoss, ends: Array) -> object:
        if loss is self._ends[0]:
            return ends[0]
        return value_of(loss, {id(e): x for e, x in zip(self._ends, ends, strict=True)})

    def _follow(
        self,
        step: Chunk,
        columns: Sequence[Array],
        made: Sequence[Array | None],
        ends: Array,
    ) -> None:
        """Add one step to the metrics."""

        def value(symbol: object) -> object:
            if isinstance(symbol, BatchLoss):
                return self._number(symbol, ends)
            place = self._places.get(id(symbol))
            rows = None if place is None else made[place]
            if place is not None and rows is not None:
                return rows.reshape(len(rows), *_sizes(self._outputs[place]))
            column = self._columns.get(id(symbol))
            return symbol if column is None else rows_of(columns[column], step, self._floatx)

        for metric, args, kwargs in self._effects.updates:
            given, named = tree.map_structure(value, (list(args), dict(kwargs)))
            if metric is None:
                self._model.compute_metrics(*given, **named)
            elif self._is_stateless:
                values = [v.numpy() for v in metric.variables]
                after = metric.stateless_update_state(values, *given, **named)
                for variable, new in zip(metric.variables, after, strict=True):
                    variable.assign(np.asarray(new))
            else:
                metric.update_state(*given, **named)
        if self._is_stateless:
            forget_sums(self._model)

    def _logs(self, ends: Array) -> object:
        logs = self._effects.logs
        if isinstance(logs, MetricValue):
            return self._model.get_metrics_result()
        assert isinstance(logs, dict)
        return {name: self._log(value, ends) for name, value in logs.items()}

    def _log(self, value: object, ends: Array) -> object:
        if isinstance(value, BatchLoss):
            return self._number(value, ends)
        if not isinstance(value, MetricValue) or value.metric is None:
            return value
        if self._is_stateless:
            return value.metric.stateless_result([v.numpy() for v in value.metric.variables])
        return value.metric.result()

    # What it may change

    def state(self) -> list[Variable]:
        """The variables that a step may change."""
        found = [*self._weights, *self._drawn, *self.optimizer.variables]
        found += self._model.metrics_variables
        return list({id(v): v for v in found}.values())


def _without_state(calls: StepCalls, result: object, state: Sequence[Sequence[Variable]]) -> object:
    """The logs of a step that returns its state with them: the latest values, all of them."""
    if not isinstance(result, tuple) or len(result) != 2:
        raise NotLowerable("it returns no logs with its state")
    logs, after = result
    if not isinstance(after, tuple | list) or len(after) != len(state):
        raise NotLowerable("it returns no logs with its state")
    for values, variables in zip(after, state, strict=True):
        calls.state.take(values, variables)
    return logs


def _kinds(columns: Sequence[Array]) -> list[object]:
    return [(column.dtype, column.shape[1:]) for column in columns]


def _symbol(column: Array, floatx: str) -> KerasTensor:
    if type(column) is not np.ndarray or column.dtype.kind not in "biuf":
        raise NotLowerable("its data are not all numbers")
    dtype = floatx if column.dtype.kind == "f" else column.dtype.name
    return KerasTensor((None, *column.shape[1:]), dtype)


def _sizes(x: KerasTensor) -> list[int]:
    return [1 if n is None else n for n in x.shape[1:]]


def _asked(updates: Sequence[MetricUpdate]) -> list[KerasTensor]:
    leaves = [x for u in updates for x in tree.flatten((list(u.args), dict(u.kwargs)))]
    return [x for x in leaves if isinstance(x, KerasTensor)]


def _outputs_of(calls: StepCalls) -> list[KerasTensor]:
    """What the plan has to give: the rows of the loss, and what metrics look at."""
    effects = calls.effects
    if effects.loss is None or not effects.applied:
        raise NotLowerable("it does not update by the gradient of a loss")
    if not isinstance(effects.logs, dict | MetricValue):
        raise NotLowerable("it returns no logs")
    ends = ends_of(effects.loss)
    values = [*effects.logs.values()] if isinstance(effects.logs, dict) else []
    for update in effects.updates:
        values += tree.flatten((list(update.args), dict(update.kwargs)))
    for value in values:
        known = isinstance(value, KerasTensor | MetricValue | int | float | None)
        if not known and not (
            isinstance(value, BatchLoss) and {*map(id, ends_of(value))} <= {*map(id, ends)}
        ):
            raise NotLowerable("it reports something else than its loss and metrics")
    if isinstance(effects.logs, dict) and any(
        isinstance(value, KerasTensor) for value in effects.logs.values()
    ):
        raise NotLowerable("it returns rows")
    made = [x for x in _asked(effects.updates) if not calls.is_data(x)]
    return list({id(x): x for x in [*(e.rows for e in ends), *made]}.values())


def _check_state(callees: Sequence[tuple[Layer, bool]]) -> None:
    """What a call writes is read by none of the others; draws follow each other in a plan, too.

    Frozen weights are not written: a target network may be a part of the model.
    """
    written: set[int] = set()
    for layer, _ in callees:
        owners = [layer, *sublayers(layer)]
        own = {id(v) for one in owners for v in one._tracker.non_trainable_variables}
        if written & own and any(trains for _, trains in callees):
            raise NotLowerable("two calls share state")
        written |= own
