"""What calls inside of a followed step mean: models, ops, the tape, the update, metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, cast

from densekit._core import settings, tree
from densekit._core.native_form import native_form
from densekit._core.plan import NotLowerable
from densekit._core.seeds import SeedGenerator
from densekit._core.variable import Variable
from densekit.data._columns import unpack_x_y_sample_weight
from densekit.layers import Layer
from densekit.layers._base.losses import sublayers
from densekit.losses import Loss
from densekit.metrics import Metric
from densekit.ops import KerasTensor
from densekit.ops._symbolic import Node
from densekit.optimizers import Optimizer
from densekit.training._compiled import Compiled
from densekit.training._outputs import unwraps
from densekit.training._overrides import is_base_method
from densekit.training._run_metrics import parts_of
from densekit.training._runtime import Runtime
from densekit.training._step_formulas import MAKES, Change, StepFormulas, is_plain
from densekit.training._step_reads import OF_PARTS, Method, is_ours
from densekit.training._step_state import METHODS, Differentiated, StateValue, StepState
from densekit.training._step_values import (
    ROWS,
    BatchLoss,
    Gradient,
    MetricUpdate,
    MetricValue,
    OpenTape,
    RowLoss,
    StepEffects,
)
from densekit.training._tape import GradientTape
from densekit.training._value_and_grad import value_and_grad

if TYPE_CHECKING:
    from densekit.training._model import TrainableModel

_OWN = __name__.partition(".")[0]
_FORMULAS = tuple(f"{_OWN}.{room}" for room in ("ops", "activations", "losses", "random"))
_REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight")
# What gives values to each row, and the names of its arguments.
_DRAWS = {
    "normal": ("shape", "mean", "stddev", "dtype", "seed"),
    "uniform": ("shape", "minval", "maxval", "dtype", "seed"),
    "zeros": ("shape", "dtype"),
    "ones": ("shape", "dtype"),
}


class StepCalls(StepFormulas):
    """Follows the calls of one step.

    Args:
        model: whose step it is.
        compiled: what it was compiled with.
        data: the columns of the data, as symbols.
    """

    def __init__(
        self, model: TrainableModel, compiled: Compiled, data: Sequence[KerasTensor]
    ) -> None:
        self.effects = StepEffects()
        self.drawn: list[Variable] = []  # states of the generators that it draws from
        self.callees: list[tuple[Layer, bool]] = []  # what was called, and whether it trains
        self._nodes: list[tuple[Layer, int]] = []
        self.state = StepState(self)
        self._model, self._compiled = model, compiled
        super().__init__(data, model.weights)

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
            if isinstance(of, OpenTape) and name == "gradient":
                return _Gradients(of)
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
        if isinstance(callee, _Gradients):
            return self._gradients(*args, **kwargs)
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
        x = given.pop("x", None)
        if name == "shape" and isinstance(x, KerasTensor):
            return self.shape_of(x)
        whole = given.get("axis") is None and not given.get("keepdims")
        if name in ("mean", "sum") and isinstance(x, KerasTensor) and whole:
            if self._tape is None or "float" not in x.dtype:
                raise NotLowerable(f"`{name}` is computed outside of a tape")
            rows = self._inside(x)
            assert isinstance(rows, KerasTensor)
            return RowLoss(rows, name)
        leaves = tree.flatten((list(args), dict(kwargs)))
        if not any(isinstance(x, KerasTensor) for x in leaves):
            raise NotLowerable(f"`{name}` is computed without the data")
        return self._compute(function, name, args, kwargs)

    def _draw(
        self, function: FunctionType, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> object:
        """Random values, or the same one everywhere, for each row of the batch."""
        given = dict(zip(_DRAWS[function.__name__], args, strict=False)) | dict(kwargs)
        shape, seed = given.pop("shape", None), given.pop("seed", None)
        sizes = shape if isinstance(shape, tuple) or self.is_made(shape) else ()
        if not isinstance(sizes, tuple | list) or [*sizes][:1] != [ROWS] or ROWS in [*sizes][1:]:
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
        return self._result(values)

    def _layer(self, layer: Layer, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
        if self.effects.applied:
            raise NotLowerable("it calls a model after the update")
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
        self.callees.append((layer, bool(training)))
        self._nodes += [(x, len(x._inbound_nodes)) for x in sublayers(layer)]
        flag = {"training": bool(training)} if layer._dk_call_info.has_training else {}
        given = tree.map_structure(self._inside, args[0])
        outputs = _as_graph(layer, given, flag)
        if outputs is None:
            outputs = layer(given, **flag)
        of_model = isinstance(outputs, list | tuple) and unwraps(outputs)
        return self._result(tree.flatten(outputs)[0] if of_model else outputs)

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
        if owner is self._model and name == "get_metrics_result":
            return self._metric_value(None)
        raise NotLowerable(f"it calls `{name}` of {type(owner).__name__}")

    def _add_update(
        self, metric: Metric | None, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> None:
        leaves = tree.flatten((list(args), dict(kwargs)))
        if not all(isinstance(x, KerasTensor | BatchLoss | None) for x in leaves):
            raise NotLowerable("a metric is given more than data, predictions and loss")
        if self.effects.loss is None and any(isinstance(x, BatchLoss) for x in leaves):
            raise NotLowerable("a metric is given the loss before its gradient")  # other bits
        asked = self.effects.asked
        if asked & {id(None), id(metric)} or (metric is None and asked):
            raise NotLowerable("a metric is asked before it is updated")
        self.effects.updates.append(MetricUpdate(metric, tuple(args), dict(kwargs)))

    def _metric_value(self, metric: Metric | None) -> MetricValue:
        """What a metric says at the end of the step; None: all."""
        if metric is None:
            results = self.reads.attribute(self._model, "get_metrics_result")
            if not self.is_ours(results):
                raise NotLowerable("it has a `get_metrics_result` of its own")
        self.effects.asked.add(id(metric))
        return MetricValue(metric)

    # The loss, its gradient, the update

    def _loss(
        self, loss: Loss, y_true: object, y_pred: object, sample_weight: object = None
    ) -> RowLoss:
        target = self._data.get(id(y_true), -1)
        weights = -1
        if sample_weight is not None:
            weights = self._weights(sample_weight)
            if loss.reduction == "mean_with_sample_weight":
                raise NotLowerable("its loss is divided by the weights")
        form = native_form(loss)
        known = form is not None and not form.whole_batch and loss.reduction in _REDUCTIONS
        if self._tape is None or not known or target < 0:
            raise NotLowerable("its loss is none of ours, of targets that are data")
        if not isinstance(y_pred, KerasTensor) or id(y_pred) not in self._recorded:
            raise NotLowerable("its loss is none of what a model gave")
        reduction = "sum" if loss.reduction == "sum" else "mean"
        return RowLoss(y_pred, reduction, loss, target, weights)

    def _weights(self, given: object) -> int:
        """The column of the data with the weights of samples."""
        place = self._data.get(id(given), -1)
        floats = isinstance(given, KerasTensor) and given.dtype == settings.floatx()
        if place < 0 or not floats or len(given.shape) != 1:  # type: ignore[attr-defined]
            raise NotLowerable("the weights of its loss are no column of numbers of the data")
        return place

    def _compiled_loss(
        self,
        x: object = None,
        y: object = None,
        y_pred: object = None,
        sample_weight: object = None,
        training: object = True,
    ) -> RowLoss:
        term = self._compiled.bare_term()
        if term is None:
            raise NotLowerable("`compute_loss` gives more than one loss")
        return self._loss(term.loss, y, y_pred, sample_weight)

    def _differentiated(
        self, fn: object, variables: object = None, has_aux: object = False
    ) -> Differentiated:
        if variables is not None or not isinstance(has_aux, bool):
            raise NotLowerable("`value_and_grad` takes the gradient by more than values")
        return Differentiated(fn, has_aux)

    def value_and_gradients(
        self, of: Differentiated, result: object, sources: object
    ) -> tuple[object, object]:
        """What a differentiated function gives, from what the function gave."""
        pair = of.has_aux and isinstance(result, tuple) and len(result) == 2
        if of.has_aux and not pair:
            raise NotLowerable("`value_and_grad` is given a function that returns no pair")
        value = result[0] if isinstance(result, tuple) and pair else result
        given = sources if isinstance(sources, list | tuple) else ()
        variables = tuple(v.variable for v in given if isinstance(v, StateValue))
        if len(variables) != len(given):
            raise NotLowerable("it takes the gradient by something else than variables")
        self.state.take(sources, variables)
        return result, self._gradients(value, variables)

    def _gradients(self, target: object, sources: object) -> object:
        if not isinstance(target, BatchLoss) or self.effects.loss not in (None, target):
            raise NotLowerable("it takes the gradient of something else than one loss")
        if self._tape is not None and self.effects.applied:
            raise NotLowerable("it takes a gradient after the update")
        if not (self._is_fixed(sources) and isinstance(sources, list | tuple) and sources):
            raise NotLowerable("it takes the gradient by something else than variables")
        if not all(isinstance(v, Variable) for v in sources):
            raise NotLowerable("it takes the gradient by something else than variables")
        self.effects.loss = target
        return self.made([Gradient(target, v) for v in sources])

    def _update(
        self,
        optimizer: Optimizer,
        name: str,
        grads: object = (),
        trainable_variables: object = None,
        **others: object,
    ) -> None:
        gradients = list(self.items(grads))
        given = trainable_variables
        if name == "apply_gradients":
            pairs = [pair for pair in gradients if isinstance(pair, tuple) and len(pair) == 2]
            gradients, given = [g for g, _ in pairs], [v for _, v in pairs]
        if others or optimizer is not self._model.optimizer or self.effects.applied:
            raise NotLowerable("it updates by something else than the model's optimizer, once")
        variables = [g.variable for g in gradients if isinstance(g, Gradient)]
        if not gradients or len(variables) != len(gradients):
            raise NotLowerable("it updates by something else than gradients as they are")
        if given is not None and trainable_variables is given and not self._is_fixed(given):
            raise NotLowerable("it updates what a list says that may change")
        own = optimizer._trainable_variables
        for others_of in (own, own if given is None else given):
            if not isinstance(others_of, list | tuple) or len(others_of) != len(variables):
                raise NotLowerable("it does not update what its optimizer was built for")
            if not all(v is w for v, w in zip(variables, others_of, strict=True)):
                raise NotLowerable("it does not update what its optimizer was built for")
        self.effects.variables, self.effects.applied = variables, True


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


class _Gradients:
    """``tape.gradient``, not yet called."""

    def __init__(self, tape: OpenTape) -> None:
        self.tape = tape
