"""A model or layer called inside a tape: one step of the record, natively forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, cast
from weakref import ref

import numpy as np

from densekit import engines
from densekit._core import masks, tree
from densekit._core.boxes import BOXES
from densekit._core.scope import RecordingScope
from densekit._core.tensor import Tensor
from densekit._core.types import Array, TensorLike
from densekit._core.variable import Variable
from densekit._core.watched import WATCHED, read
from densekit.layers import Layer
from densekit.layers._base.call import call_context
from densekit.ops._formula_steps import Formulas
from densekit.ops._gradient import Node, is_live, new_node
from densekit.training._call_record import Backward, BareCall, Box, Call, Output, Tape, hand_on
from densekit.training._layer_engines import recorder_of
from densekit.training._runtime import Runtime

_trainable = attrgetter("trainable")


class _Quick:
    """What a call of a model on one array was found to be; so is the next one like it."""

    def __init__(self, call: Call, formulas: Formulas, x: Array, runtime: Runtime) -> None:
        self.model = ref(call.layer)
        self.engine, self.pack, self.training = call.engine, call.pack, call.training
        self.variables = call.variables
        self.draws = bool(call.seeds)
        self.formulas = formulas
        self.tail = x.shape[1:]
        tracker = call.layer._tracker
        self.version, self.flags = tracker.version, tracker.flags
        self.weights = runtime.weights
        self.trainable = [v.trainable for v in self.weights]


def run_quickly(tape: Tape, model: Layer, x: Array, training: bool) -> object:
    """The output of a call like the one before, of an unchanged model, for the only tape."""
    runtime = model.__dict__.get("_dk_runtime")
    quick = None if runtime is None else runtime.quick_records.get(training)
    if quick is None or x.shape[1:] != quick.tail or x.dtype.kind not in "biuf" or not len(x):
        return NotImplemented
    tracker = model._tracker
    if tracker.version != quick.version or tracker.flags != quick.flags:
        return NotImplemented
    if list(map(_trainable, quick.weights)) != quick.trainable:
        return NotImplemented
    _, captured = tracker.captured
    if captured is not None and captured.has_values and not captured.values_hold():
        return NotImplemented
    call = BareCall(model, quick.engine, quick.pack, training, quick.draws, tape, x)
    call.recorded, outputs = quick.engine.record([x], training, False)
    return tape.formula(quick.formulas).enter(outputs[0], call)


def run_with_values(
    tape: Tape,
    layer: Layer,
    pairs: list[tuple[Variable, Any]],
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> object:
    """The outputs for given values of the variables, if they are the present ones, recorded or not.

    So they are in the first call of a step without side effects. Else NotImplemented.
    """
    if tape.outer is not None or not args or type(args[0]) is not np.ndarray:
        return NotImplemented
    boxes: dict[int, Box] = {}
    for variable, value in pairs:
        inner = value
        if type(value) in BOXES and value._trace == tape.trace:
            boxes[id(variable)], inner = value, value._value
        own = variable._value
        if type(inner) not in _ARRAYS or inner.dtype is not own.dtype:
            return NotImplemented
        if not np.array_equal(inner, own):
            return NotImplemented
    return run_recorded(tape, layer, args, kwargs, boxes)


def run_recorded(
    innermost: Tape,
    layer: Layer,
    args: tuple[object, ...],
    kwargs: dict[str, object],
    boxes: dict[int, Box] | None = None,
) -> object:
    """The outputs of a call inside tapes, or NotImplemented where only the definition will do.

    Args:
        boxes: what stands for variables, by their ids; None: what the tapes watch.
    """
    if len(args) != 1 or (kwargs and set(kwargs) != {"training"}):
        return NotImplemented
    training = kwargs.get("training")
    if training is None:
        context = call_context.get()
        training = None if context is None else context.training
        if training is None:
            runtime = layer.__dict__.get("_dk_runtime")
            if isinstance(runtime, Runtime) and layer.built and runtime.has_flags():
                return NotImplemented  # layers inside go by what they were told
            training = layer._dk_call_info.default_training
    training = bool(training)
    given = args[0]
    if masks.in_use and masks.any_mask(masks.masks_of(given)):
        return NotImplemented
    alone = innermost.outer is None  # no tape, and no other scope, around it
    if alone and boxes is None and type(given) is np.ndarray and innermost.watches_all:
        outputs = run_quickly(innermost, layer, given, training)
        if outputs is not NotImplemented:
            return outputs
    tapes = _tapes(innermost)
    if tapes is None or any(tape.watches_frozen(layer) for tape in tapes):
        return NotImplemented
    leaves = [given] if type(given) in _ARRAYS or type(given) in BOXES else tree.flatten(given)
    leaves = [read(leaf) if type(leaf) in WATCHED else leaf for leaf in leaves]
    arrays: list[Array] = []
    traces = {tape.trace for tape in tapes}
    recorded = False
    for leaf in leaves:
        array: Any = leaf
        while type(array) in BOXES:
            if array._trace in traces:
                recorded = True
            elif is_live(array):
                return NotImplemented  # something else differentiates here
            array = array._value
        if type(array) not in _ARRAYS:
            return NotImplemented
        arrays.append(np.asarray(array))
    found = recorder_of(layer, given, arrays, training)
    if found is None:
        return NotImplemented
    engine, pack, pack_outputs = found
    variables = engine.variables
    call = Call(layer, engine, pack, training)
    parents_of = []
    for tape in tapes:
        wanted: list[int] = []
        parents: list[Node] = []
        for i, variable in enumerate(variables):
            if boxes is not None:
                if id(variable) in boxes:
                    parents.append(boxes[id(variable)]._node)
                    wanted.append(i)
            elif tape.watches(variable):
                parents.append(tape.root(variable))
                wanted.append(i)
        for i, leaf in enumerate(leaves):
            box = _box_of(leaf, tape.trace)
            if box is not None:
                parents.append(box._node)
                wanted.append(len(variables) + i)
        parents_of.append((parents, wanted))
    call.recorded, outputs = engine.record(arrays, training, recorded)
    values: list[TensorLike] = list(outputs)
    new_box = _new_box()
    if alone:
        parents, wanted = parents_of[0]
        if not parents:
            return pack_outputs(values)
        formulas = _formulas()
        formula = innermost.formula(formulas)
        inputs = [_below(leaf, innermost.trace) for leaf in leaves]
        node = new_node(parents, Backward(call, wanted, inputs, ()))
        ends = [node]
        if len(values) > 1:
            ends = [new_node((node,), hand_on(i, len(values))) for i in range(len(values))]
        made = [formula.enter(y, Output(end)) for y, end in zip(values, ends, strict=True)]
        packed = pack_outputs(made)
        runtime = layer.__dict__.get("_dk_runtime")
        if (
            boxes is None
            and isinstance(runtime, Runtime)
            and packed is made[0]
            and type(given) is np.ndarray
        ):
            runtime.quick_records[training] = _Quick(call, formulas, given, runtime)
        return packed
    for position in range(len(tapes) - 1, -1, -1):  # from the outermost tape to the innermost
        tape, (parents, wanted) = tapes[position], parents_of[position]
        if not parents:
            continue
        outer = tapes[position + 1 :]
        inputs = [_below(leaf, tape.trace) for leaf in leaves]
        node = new_node(parents, Backward(call, wanted, inputs, outer))
        if len(values) == 1:
            values = [new_box(values[0], tape.trace, node)]
            continue
        ends = [new_node((node,), hand_on(i, len(values))) for i in range(len(values))]
        values = [new_box(y, tape.trace, end) for y, end in zip(values, ends, strict=True)]
    return pack_outputs(values)


@cache
def _formulas_of(name: str) -> Formulas:
    kind = engines.engine_kind(name)
    kind.begin_formulas()
    return Formulas(lambda step: kind.lowers_formula(step.path()), kind.formula)


def _formulas() -> Formulas:
    """The formulas of the active kind of engine."""
    return _formulas_of(engines.engine_kind().name)


_ARRAYS = frozenset({np.ndarray, Tensor})


def _new_box() -> Callable[[TensorLike, int, object], TensorLike]:
    from autograd.tracer import new_box  # optional and slow

    made: Callable[[TensorLike, int, object], TensorLike] = new_box
    return made


def _box_of(leaf: Any, trace: int) -> Box | None:
    """The box of a trace in or around `leaf`, or None."""
    while type(leaf) in BOXES and leaf._trace > trace:
        leaf = leaf._value
    return leaf if type(leaf) in BOXES and leaf._trace == trace else None


def _below(leaf: Any, trace: int) -> TensorLike:
    """What tapes outside of `trace` see of `leaf`."""
    while type(leaf) in BOXES and leaf._trace >= trace:
        leaf = leaf._value
    below: TensorLike = leaf
    return below


def _tapes(innermost: Tape) -> list[Tape] | None:
    """The tapes that record, the innermost first; None if variables are substituted around them."""
    tapes: list[Tape] = []
    scope: object = innermost
    while isinstance(scope, RecordingScope):
        tapes.append(cast("Tape", scope))
        scope = scope.outer
    return tapes if scope is None else None
