"""A user's own step that an engine makes, with what it was followed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from types import FunctionType
from typing import TYPE_CHECKING, cast

import numpy as np

from densekit import engines
from densekit._core import assignments, settings, tree
from densekit._core.engine import Chunk
from densekit._core.native_form import native_form
from densekit._core.plan import NotLowerable
from densekit._core.types import Array, Real
from densekit._core.variable import Variable
from densekit.engines.following import Ends, follow_call
from densekit.layers import Layer
from densekit.layers._base.losses import sublayers
from densekit.ops import KerasTensor
from densekit.training._built_from import numbers_of
from densekit.training._compiled import Compiled
from densekit.training._followed_phase import FollowedPhase
from densekit.training._made_by_python import MadeByPython
from densekit.training._overrides import is_base_method
from densekit.training._stateless import forget_sums, state_of
from densekit.training._step_calls import Callee, StepCalls
from densekit.training._step_data import BatchStructure, rows_of
from densekit.training._step_phases import Phases
from densekit.training._step_reader import StepReader
from densekit.training._step_values import (
    ALL_METRICS,
    BatchLoss,
    BatchSize,
    MetricValue,
    RowLoss,
    ends_of,
    sizes_of,
    value_of,
)

if TYPE_CHECKING:
    from densekit.optimizers import Optimizer
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
                reader = StepReader(calls)
                if is_base_method(function):  # with a loss, or metrics, of its own
                    logs = reader.built_in_step(model, args[1:], {})
                else:
                    logs = reader.run(function, args, {})
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
        _check_state(calls.callees)
        self._kind = engines.engine_kind()
        shared = Phases(calls, graph.nodes, _rows_asked(calls))
        self._phases = [
            FollowedPhase(phase, tensors, self._floatx, self._kind) for phase in shared.phases
        ]
        count = len(self._phases) + 1
        own = tensors, shared.node_of, calls.batches_of, self._floatx, self._kind
        self._beside = [MadeByPython(shared.by_python(i), *own) for i in range(count)]
        self._only = self._phases[0]
        self._is_simple = (
            count == 2 and not self._only.gathers and not any(b.calls for b in self._beside)
        )
        self._columns = {id(x): i for i, x in enumerate(tensors)}
        self._keep = tensors, calls
        self.optimizers: list[Optimizer] = [phase.optimizer for phase in self._phases]
        self._ends = [end for phase in self._phases for end in phase.ends]
        self._end_ids = [*map(id, self._ends)]
        self._layers: list[Layer] = [*calls.reads.layers.values()]
        self._layers += [cast("Layer", model), *(callee.layer for callee in calls.callees)]
        logs = self._effects.logs
        reported = logs.items() if isinstance(logs, dict) else ()
        told = [(str(n), v) for n, v in reported if isinstance(v, BatchLoss)]
        # The loss that is watched: the one that is made small, or the first that is told of.
        self._watched: BatchLoss = self._only.loss
        if count > 2:
            self._watched = next((v for name, v in told if "loss" in name), self._watched)
        self.loss_names = [name for name, value in told if value is self._watched]
        for layer in self._layers:
            layer._dk_version()  # listens to the trackers of its parts from now on
        self._weights = [v for layer in self._layers for v in layer.variables]
        self._versions = self._now()
        self._count = assignments.count()
        self._numbers = self._numbers_now()
        self._optimizer = model.optimizer

    # Whether it still holds

    def _now(self) -> object:
        """What is another value after a change of a layer or of what is trained."""
        trackers = [(x._dk_version(), x._tracker.flags) for x in self._layers]
        return trackers, list(map(_trainable, self._weights))

    def _numbers_now(self) -> object:
        losses = [end.loss for end in self._ends]
        forms = [None if loss is None else (native_form(loss), loss.reduction) for loss in losses]
        numbers = [numbers_of([], p.variables, [], p.optimizer) for p in self._phases]
        return numbers, forms, self._compiled.terms, self._compiled.metrics

    def takes(self, columns: Sequence[Array]) -> bool:
        """Whether data are like those that it was followed with."""
        return _kinds(columns) == self._kinds

    def holds(self) -> bool:
        """Whether the step would be found to do the same again."""
        if self._model.optimizer is not self._optimizer:
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
        bytes_of_row = sum(phase.bytes_of_row for phase in self._phases)
        rows = min(phase.engine.chunk_rows for phase in self._phases)
        rows = min(rows, _PREDICTION_BYTES / max(bytes_of_row, 1))
        return max(1, int(rows // batch_size))

    def run(self, chunk: Chunk, columns: Sequence[Array]) -> tuple[object, Array]:
        """The steps of a chunk: what the last one returns, and all losses."""
        if not self._is_simple:
            return self._run_one_by_one(chunk, columns)
        phase = self._only
        ends, rooms = phase.train(chunk, columns)
        if self._effects.updates:
            for i, step in enumerate(chunk.single_steps()):
                rows = slice(i * chunk.batch_size, i * chunk.batch_size + step.rows)
                made: dict[int, Array] = {}
                for place, x in phase.kept:
                    room = rooms[place]
                    assert room is not None
                    made[id(x)] = room[rows].reshape(step.rows, *sizes_of(x))
                self._follow(step, columns, made, self._by_end(ends[i]))
        if isinstance(phase.loss, RowLoss):
            losses = ends[:, 0]
        else:
            losses = np.array([self._number(phase.loss, self._by_end(one)) for one in ends])
        return self._logs(self._by_end(ends[-1])), losses

    def _by_end(self, ends: Array) -> Mapping[int, Real]:
        return dict(zip(self._end_ids, ends, strict=True))

    def _run_one_by_one(self, chunk: Chunk, columns: Sequence[Array]) -> tuple[object, Array]:
        """Steps of several updates, or with rows that Python makes."""
        losses: list[object] = []
        logs: object = None
        for step in chunk.single_steps():
            made: dict[int, Array] = {}
            ends: dict[int, Real] = {}
            for beside, phase in zip(self._beside, self._phases, strict=False):
                if beside.calls:
                    beside.make(step, columns, made)
                ends |= phase.train_one(step, columns, made)
            if self._beside[-1].calls:
                self._beside[-1].make(step, columns, made)
            if self._effects.updates:
                self._follow(step, columns, made, ends)
            losses.append(self._number(self._watched, ends))
            logs = self._logs(ends)
        return logs, np.array(losses)

    def _number(self, loss: BatchLoss, ends: Mapping[int, Real]) -> object:
        return ends[id(loss)] if isinstance(loss, RowLoss) else value_of(loss, ends)

    def _follow(
        self,
        step: Chunk,
        columns: Sequence[Array],
        made: Mapping[int, Array],
        ends: Mapping[int, Real],
    ) -> None:
        """Add one step to the metrics."""

        def value(symbol: object) -> object:
            if isinstance(symbol, BatchLoss):
                return self._number(symbol, ends)
            if isinstance(symbol, BatchSize):
                return step.rows * symbol.batches
            column = self._columns.get(id(symbol))
            if column is not None:
                return rows_of(columns[column], step, self._floatx)
            return made.get(id(symbol), symbol) if isinstance(symbol, KerasTensor) else symbol

        for metric, args, kwargs in self._effects.updates:
            if metric is None and self._compiled.metrics is None:
                continue  # there is nothing to compute
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

    def _logs(self, ends: Mapping[int, Real]) -> object:
        logs = self._effects.logs
        assert isinstance(logs, dict)
        told: dict[str, object] = {}
        for name, value in logs.items():
            if name is ALL_METRICS:
                told |= self._model.get_metrics_result()
            else:
                told[name] = self._log(value, ends)
        return told

    def _log(self, value: object, ends: Mapping[int, Real]) -> object:
        if isinstance(value, BatchLoss):
            return self._number(value, ends)
        if not isinstance(value, MetricValue):
            return value
        if value.metric is None:
            return self._model.get_metrics_result()[value.name]
        if self._is_stateless:
            return value.metric.stateless_result([v.numpy() for v in value.metric.variables])
        return value.metric.result()

    # What it may change

    def state(self) -> list[Variable]:
        """The variables that a step may change."""
        found = [*self._weights, *self._drawn]
        found += [v for optimizer in self.optimizers for v in optimizer.variables]
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


def _rows_asked(calls: StepCalls) -> list[KerasTensor]:
    """The rows that metrics look at."""
    updates = calls.effects.updates
    leaves = [x for u in updates for x in tree.flatten((list(u.args), dict(u.kwargs)))]
    return [x for x in leaves if isinstance(x, KerasTensor) and not calls.is_data(x)]


def _outputs_of(calls: StepCalls) -> list[KerasTensor]:
    """The rows of the losses; all that the step does is known then."""
    effects = calls.effects
    if not effects.steps:
        raise NotLowerable("it does not update by the gradient of a loss")
    if not isinstance(effects.logs, dict):
        raise NotLowerable("it returns no logs")
    if not effects.said_again <= effects.logs.keys():
        raise NotLowerable("a metric is asked before it is updated")
    ends = [end for step in effects.steps for end in ends_of(step.loss)]
    values = [*effects.logs.values()]
    for update in effects.updates:
        values += tree.flatten((list(update.args), dict(update.kwargs)))
    for value in values:
        known = isinstance(value, KerasTensor | MetricValue | BatchSize | int | float | None)
        if not known and not (
            isinstance(value, BatchLoss) and {*map(id, ends_of(value))} <= {*map(id, ends)}
        ):
            raise NotLowerable("it reports something else than its losses and metrics")
    if any(isinstance(value, KerasTensor) for value in effects.logs.values()):
        raise NotLowerable("it returns rows")
    return [end.rows for end in ends]


def _check_state(callees: Sequence[Callee]) -> None:
    """What a call writes is read by none of the others before the same update.

    Draws follow each other in a plan, too. Frozen weights are not written: a target network may be
    a part of the model.
    """
    written: dict[int, set[int]] = {}
    training = {callee.updates for callee in callees if callee.trains}
    for layer, _, updates in callees:
        owners = [layer, *sublayers(layer)]
        own = {id(v) for one in owners for v in one._tracker.non_trainable_variables}
        own -= {id(g.state) for one in owners for g in one._tracker.seed_generators}
        before = written.setdefault(updates, set())
        if before & own and updates in training:
            raise NotLowerable("two calls share state")
        before |= own
