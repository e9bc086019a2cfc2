"""What calls inside of a followed step mean: models, ops, the tape, the update, metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, NamedTuple, cast

from densekit._core import settings, tree
from densekit._core.plan import NotLowerable
from densekit._core.seeds import SeedGenerator
from densekit._core.variable import Variable
from densekit.data._columns import unpack_x_y_sample_weight
from densekit.layers import Layer
from densekit.layers._base.losses import sublayers
from densekit.losses import Loss
from densekit.metrics import Metric
from densekit.ops import KerasTensor, compute_output_spec
from densekit.ops._symbolic import Node, recorded_nodes
from densekit.optimizers import Optimizer
from densekit.training._compiled import Compiled
from densekit.training._outputs import unwraps
from densekit.training._overrides import is_base_method
from densekit.training._row_gradient import call_by_ops
from densekit.training._run_metrics import parts_of
from densekit.training._runtime import Runtime
from densekit.training._step_formulas import MAKES, OF_NUMBERS, Change, is_plain
from densekit.training._step_reads import OF_PARTS, Method, is_ours
from densekit.training._step_state import METHODS, StepState
from densekit.training._step_updates import StepUpdates, TapeMethod
from densekit.training._step_values import (
    ALL_METRICS,
    BatchLoss,
    BatchSize,
    Made,
    MetricUpdate,
    MetricValue,
    OpenTape,
    RowLoss,
    rows_of_batches,
)
from densekit.training._tape import GradientTape
from densekit.training._value_and_grad import value_and_grad

if TYPE_CHECKING:
    from densekit.training._model import TrainableModel

_OWN = __name__.partition(".")[0]
_FORMULAS = tuple(f"{_OWN}.{room}" for room in ("ops", "activations", "losses", "random"))
_TREES = (f"{_OWN}._core.tree", f"{_OWN}.tree")
_OF_TREES = ("flatten", "assert_same_structure")
# What gives values to each row, and the names of its arguments.
_DRAWS = {
    "normal": ("shape", "mean", "stddev", "dtype", "seed"),
    "uniform": ("shape", "minval", "maxval", "dtype", "seed"),
    "zeros": ("shape", "dtype"),
    "ones": ("shape", "dtype"),
}


class Callee(NamedTuple):
    """A layer that was called, whether it trains, and after how many updates."""

    layer: Layer
    trains: bool
    updates: int


class StepCalls(StepUpdates):
    """Follows the calls of one step.

    Args:
        model: whose step it is.
        compiled: what it was compiled with.
        data: the columns of the data, as symbols.
    """

    def __init__(
        self, model: TrainableModel, compiled: Compiled, data: Sequence[KerasTensor]
    ) -> None:
        self.drawn: list[Variable] = []  # states of the generators that it draws from
        self.callees: list[Callee] = []
        self._nodes: list[tuple[Layer, int]] = []
        self.state = StepState(self)
        super().__init__(model, compiled, data)

    def forget_nodes(self) -> None:
        """Take back that layers were called."""
        for layer, count in self._nodes[::-1]:
            del layer._inbound_nodes[count:]

    def is_ours(self, callee: object) -> bool:
        """Whether a function belongs to the package, so that it is known what it does."""
        return is_ours(callee.function if isinstance(callee, Method) else callee)

    def attribute(self, of: object, name: str) -> object:
        """What an attribute is."""
        if isinstance(of, OpenTape | KerasTensor | Variable) or self.is_made(of):
            if isinstance(of, OpenTape) and name in ("gradient", "watch"):
                return TapeMethod(of, name)
            if isinstance(of, KerasTensor) and name == "shape":
                return self.shape_of(of)
            if isinstance(of, list) and name in ("append", "extend"):
                return Change(of, name)
            if isinstance(of, dict) and name in ("items", "keys", "values"):
                return self.made(list(getattr(of, name)())), name  # not yet called
            raise NotLowerable(f"it reads `{name}` of {type(of).__name__}")
        value = self.reads.attribute(of, name)
        # `trainable_variables` and the like are made for whoever asks.
        of_parts = isinstance(of, Layer | Metric) and name in OF_PARTS
        return self.made(value) if of_parts else value

    # Calls

    def call(self, callee: object, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
        """What a call of something of ours gives."""
        if callee is GradientTape:
            if kwargs.keys() - {"persistent"} or args:
                raise NotLowerable("its tape does not watch what it reads")
            return OpenTape()
        if isinstance(callee, TapeMethod):
            return self.of_tape(callee, args, kwargs)
        if isinstance(callee, Layer):
            return self._layer(callee, args, kwargs)
        if callee is value_and_grad:
            return self._differentiated(*args, **kwargs)
        if isinstance(callee, Change):
            callee.make(self.items(args[0]) if callee.name == "extend" else args[0])
            return None
        if isinstance(callee, Loss):
            return self._loss(callee, *args, **kwargs)
        if isinstance(callee, Method):
            return self._method(callee, args, kwargs)
        if isinstance(callee, FunctionType) and callee.__module__.startswith(_TREES):
            if callee.__name__ not in _OF_TREES or kwargs:
                raise NotLowerable(f"it calls `tree.{callee.__name__}`")
            found = callee(*args)
            return self.made(found) if isinstance(found, list) else found
        if isinstance(callee, tuple):  # a view of a dict
            return callee[0]
        if getattr(callee, "__name__", "") == unpack_x_y_sample_weight.__name__ and len(args) == 1:
            return unpack_x_y_sample_weight(args[0])
        if (callee is len or callee is isinstance) and not kwargs:
            return self.ask(callee, *args)
        if isinstance(callee, type) and callee in MAKES and not kwargs.keys() - {"strict"}:
            return self.make(callee, args, kwargs)
        if isinstance(callee, FunctionType) and callee.__module__.startswith(_FORMULAS):
            return self._formula(callee, args, kwargs)
        raise NotLowerable(f"it calls {getattr(callee, '__name__', type(callee).__name__)!r}")

    def _formula(
        self, function: FunctionType, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> object:
        name = function.__name__
        if name in _DRAWS:
            return self._draw(function, args, kwargs)
        given = dict(zip(("x", "axis", "keepdims"), args, strict=False)) | dict(kwargs)
        x = given.pop("x", given.pop("xs", None))
        if name == "shape" and isinstance(x, KerasTensor):
            return self.shape_of(x)
        if name == "shape" and isinstance(x, BatchLoss):
            return ()
        if name in OF_NUMBERS and any(isinstance(y, BatchLoss) for y in args) and not kwargs:
            return self.combine(OF_NUMBERS[name], args)
        whole = given.get("axis") is None and not given.get("keepdims")
        if name in ("mean", "sum") and isinstance(x, KerasTensor) and whole:
            if not self._tapes or "float" not in x.dtype:
                raise NotLowerable(f"`{name}` is computed outside of a tape")
            rows = self._inside(x)
            assert isinstance(rows, KerasTensor)
            return RowLoss(rows, name)
        if name in ("mean", "sum") and isinstance(x, BatchLoss) and whole:
            return x
        if name == "concatenate" and self._joins_batches(x, given):
            return self.join(x)
        leaves = tree.flatten((list(args), dict(kwargs)))
        if not any(isinstance(x, KerasTensor | BatchSize) for x in leaves):
            raise NotLowerable(f"`{name}` is computed without the data")
        in_random = function.__module__.startswith(f"{_OWN}.random")
        if not self._tapes and (in_random or not self.is_exact(name)):
            return self._on_batches(function, in_random, args, kwargs)
        return self._compute(function, name, args, kwargs)

    def _on_batches(
        self,
        function: FunctionType,
        draws: bool,
        args: Sequence[object],
        kwargs: Mapping[str, object],
    ) -> object:
        """What Python makes of whole batches before the plans: other orders of rows, draws."""
        seed = kwargs.get("seed")
        if draws and not isinstance(seed, SeedGenerator):
            raise NotLowerable("it draws without a SeedGenerator")
        leaves = tree.flatten((list(args), {k: v for k, v in kwargs.items() if k != "seed"}))
        if not all(isinstance(x, KerasTensor | BatchSize) or is_plain(x) for x in leaves):
            raise NotLowerable(f"`{function.__name__}` is given more than tensors and numbers")
        tensors = [self.known(x) for x in leaves if isinstance(x, KerasTensor)]
        sizes = [*(x for x in leaves if isinstance(x, BatchSize))]
        batches = {*map(self.batches_of, tensors), *(x.batches for x in sizes)}
        if len(batches) != 1:
            raise NotLowerable(f"`{function.__name__}` meets other numbers of rows")
        if tensors:
            given = {k: v for k, v in kwargs.items() if k != "seed"}
            y: object = compute_output_spec(function, *args, **given)
        else:
            shape = next((x for x in (*args, *kwargs.values()) if isinstance(x, tuple)), ())
            if not shape or shape[0] is not sizes[0] or not all(map(is_plain, shape[1:])):
                raise NotLowerable(f"`{function.__name__}` does not make a row for each row")
            y = KerasTensor((None, *shape[1:]), settings.floatx())
        if not isinstance(y, KerasTensor):
            raise NotLowerable(f"`{function.__name__}` gives several values")
        if isinstance(seed, SeedGenerator):
            self.drawn.append(seed.state)
        return self._result(y, batches.pop(), Made(function, args, kwargs, ()))

    def _joins_batches(self, xs: object, given: Mapping[str, object]) -> bool:
        parts = xs if isinstance(xs, list | tuple) else ()
        tensors = [x for x in parts if isinstance(x, KerasTensor)]
        return bool(tensors) and given.get("axis", -1) in (0, -len(tensors[0].shape))

    def _draw(
        self, function: FunctionType, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> object:
        """Random values, or the same one everywhere, for each row of the batch."""
        given = dict(zip(_DRAWS[function.__name__], args, strict=False)) | dict(kwargs)
        shape, seed = given.pop("shape", None), given.pop("seed", None)
        sizes = shape if isinstance(shape, tuple) or self.is_made(shape) else ()
        sizes = sizes if isinstance(sizes, tuple | list) else ()
        rows = sizes[0] if sizes else None
        if not isinstance(rows, BatchSize):
            raise NotLowerable(f"`{function.__name__}` does not make a row for each row")
        if not all(map(is_plain, [*sizes[1:], *given.values()])):
            raise NotLowerable(f"`{function.__name__}` is given more than numbers")
        if isinstance(seed, SeedGenerator):
            self.drawn.append(seed.state)
            given["seed"] = seed
        elif "seed" in _DRAWS[function.__name__]:
            raise NotLowerable("it draws without a SeedGenerator")
        values = function((None, *sizes[1:]), **given)
        if not isinstance(values, KerasTensor) or values.dtype != settings.floatx():
            raise NotLowerable(f"it draws {given.get('dtype')}")
        return self._result(values, rows.batches, Made(function, (sizes,), given, ()))

    def _layer(self, layer: Layer, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
        leaves = tree.flatten(list(args))
        if len(args) != 1 or kwargs.keys() - {"training"}:
            raise NotLowerable("it calls a model with more than data")
        if not leaves or not all(isinstance(x, KerasTensor) for x in leaves):
            raise NotLowerable("it calls a model with something else than data")
        training = kwargs.get("training")
        if training is not None and not isinstance(training, bool):
            raise NotLowerable("`training` is no truth")
        if not is_ours(self.reads.of_kind(layer, "__call__")):
            raise NotLowerable(f"{layer.name!r} has a `__call__` of its own")
        batches = {self.batches_of(x) for x in leaves}
        if len(batches) > 1:
            raise NotLowerable("it calls a model with other numbers of rows")
        self.callees.append(Callee(layer, bool(training), len(self.effects.steps)))
        self._nodes += [(x, len(x._inbound_nodes)) for x in sublayers(layer)]
        flag = {"training": bool(training)} if layer._dk_call_info.has_training else {}
        given = tree.map_structure(self._inside, args[0])
        if any(tape.watched for tape in self._tapes):
            outputs = self._by_ops(layer, given, bool(training), max(batches))
        else:
            outputs = _as_graph(layer, given, flag)
        if outputs is None:
            outputs = layer(given, **flag)
        of_model = isinstance(outputs, list | tuple) and unwraps(outputs)
        made = Made(layer, (given,), dict(kwargs), ())
        result = tree.flatten(outputs)[0] if of_model else outputs
        return self._result(result, batches.pop(), made)

    def _by_ops(self, layer: Layer, given: object, training: bool, batches: int) -> object:
        """The outputs of a layer whose gradient by its inputs may be asked for."""
        nodes = recorded_nodes.get()
        assert nodes is not None  # it is being followed
        before = len(nodes)
        outputs = call_by_ops(layer, given, training)
        for node in nodes[before:]:
            self.keep_rows(node.outputs, batches)
        return outputs

    def _method(
        self, method: Method, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> object:
        owner, name = method.owner, method.function.__name__
        if name in METHODS:
            if isinstance(owner, Metric):
                _check_metric(owner)
            return self.state.call(owner, name, args, kwargs)
        if isinstance(owner, Optimizer) and name in ("apply", "apply_gradients"):
            self._update(owner, name, *args, **kwargs)
            return None
        if isinstance(owner, Metric):
            _check_metric(owner)
            if name == "update_state":
                self._add_update(owner, args, kwargs)
                return None
            if name == "result" and not (args or kwargs):
                return self._metric_value(owner)
        if owner is self._model and is_base_method(method.function):
            if name == "compute_loss":
                return self._compiled_loss(*args, **kwargs)
            if name == "compute_metrics":
                for metric in self._model.metrics:
                    _check_metric(metric)
                self._add_update(None, args, kwargs)
                return self._metric_value(None)
        if (
            owner is self._model
            and name == "get_metrics_result"
            and is_base_method(method.function)
        ):
            return self._metric_value(None)
        raise NotLowerable(f"it calls `{name}` of {type(owner).__name__}")

    def _add_update(
        self, metric: Metric | None, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> None:
        leaves = tree.flatten((list(args), dict(kwargs)))
        if not all(isinstance(self.known(x), KerasTensor | BatchLoss | None) for x in leaves):
            raise NotLowerable("a metric is given more than data, predictions and loss")
        asked = self.effects.asked
        if id(metric) in asked or (metric is None and asked):
            raise NotLowerable("a metric is asked before it is updated")
        if asked:  # what all of them say, this one before its update: it must be said again
            assert metric is not None
            self.effects.said_again.add(metric.name)
        self.effects.updates.append(MetricUpdate(metric, tuple(args), dict(kwargs)))

    def _metric_value(self, metric: Metric | None) -> object:
        """What a metric says at the end of the step; None: a dict of all."""
        if metric is None:
            results = self.reads.attribute(self._model, "get_metrics_result")
            if not self.is_ours(results):
                raise NotLowerable("it has a `get_metrics_result` of its own")
        self.effects.asked.add(id(metric))
        value = MetricValue(metric)
        return value if metric is not None else self.made({ALL_METRICS: value})

    def is_built_in_step(self, method: Method) -> bool:
        """Whether it is the package's `train_step` of the model."""
        known = is_base_method(method.function) and method.function.__name__ == "train_step"
        return known and method.owner is self._model

    def ends_built_in_step(
        self, tape: OpenTape, loss: object, given: Mapping[str, object]
    ) -> object:
        """What the built-in step does after its tape: an update, and metrics."""
        variables = self.made(list(self._model.trainable_variables))
        self.attribute(self._model, "trainable_variables")  # which must stay the same
        gradients = self._gradients(tape, loss, variables)
        self._update(self._model.optimizer, "apply", gradients, variables)
        mean, rows = self._compiled.loss_mean, next(iter(tree.flatten(given["x"])), None)
        if mean is None or not isinstance(rows, KerasTensor):
            raise NotLowerable("it is compiled without a loss, or its data are no rows")
        _check_metric(mean)
        weight = rows_of_batches(self.batches_of(rows))
        self.effects.updates.append(MetricUpdate(mean, (loss,), {"sample_weight": weight}))
        args = given["x"], given["y"], given["y_pred"]
        compute_metrics = self.reads.attribute(self._model, "compute_metrics")
        if not isinstance(compute_metrics, Method):
            raise NotLowerable("its `compute_metrics` is no method")
        return self._method(compute_metrics, args, {"sample_weight": given["sample_weight"]})


def _as_graph(layer: Layer, given: object, flag: dict[str, bool]) -> object:
    """The outputs of a model whose calls are known: its own `call` is not run again. Else None."""
    runtime = layer.__dict__.get("_dk_runtime")
    graph = cast("TrainableModel", layer)._dk_graph() if isinstance(runtime, Runtime) else None
    if graph is None or isinstance(given, dict):
        return None
    shapes = [x.shape for x in tree.flatten(given)]
    if shapes != [x.shape for x in graph.inputs]:
        return None
    made = [KerasTensor(x.shape, x.dtype) for x in graph.outputs]
    outputs: object = tree.pack_as(graph.output_structure, made)
    Node(layer, (given,), {**flag}, outputs)
    return outputs


def _check_metric(metric: Metric) -> None:
    """Only what is known to look at nothing but its arguments may be asked in place of the step."""
    for part in parts_of([metric]):
        called = [f for f in vars(part).values() if callable(f) and not isinstance(f, type)]
        if not all(map(is_ours, (type(part), *called))):
            raise NotLowerable(f"the metric {part.name!r} is one of its own")
