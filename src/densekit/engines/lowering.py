"""From a model's graph to a plan: each node natively where it can, else on the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from densekit._core.dtypes import STRING
from densekit.engines.activity_penalties import penalised
from densekit.engines.batch_numbers import BatchNumber, BatchValue
from densekit.engines.call_graph import CallGraph, Calls, graph_of, order_of
from densekit.engines.draws import lower_draw, lower_dropout
from densekit.engines.eligibility import (
    fits_plan,
    mixed_precision,
    options_of,
    writes_while_predicting,
)
from densekit.engines.following import Followed, follow, follow_function
from densekit.engines.fusing import fused
from densekit.engines.masked import Masks, Values, reads_masks, without_unused
from densekit.engines.on_host import call_on_host, metric_variables
from densekit.engines.op_lowerings import lower_op, with_handles
from densekit.engines.op_rules.rule import name_of
from densekit.engines.plan import Handle, NotLowerable, PlanBuilder
from densekit.engines.plan_op import ByDefinition
from densekit.engines.registry import lowering_for
from densekit.engines.weight_formulas import assign, formulas_of, is_of_weights, penalise
from densekit.engines.whole_batch import is_common
from densekit.layers import Layer, has_lowering
from densekit.ops import KerasTensor
from densekit.ops._row_draws import DropoutDraw, FreeDraw, RowDraw
from densekit.ops._symbolic import FunctionOperation, Node, Operation
from densekit.ops._weight_values import Assignment, WeightValue

Shape = tuple[int, ...]


def lower_graph(
    graph: CallGraph, dtype: str, training: bool | None, input_shapes: Sequence[Shape] | None = None
) -> PlanBuilder:
    """Lower a graph: ``inputs`` and ``outputs``, lists of `KerasTensor`, and ``nodes`` in order.

    Args:
        training: what its calls are told; None: nothing, and the plan is for inference.
        input_shapes: shape of one sample of each input, where the graph leaves sizes open.

    Raises:
        NotLowerable: if a part mixes samples or has no fixed size.
    """
    plan = _lower_graph(graph, dtype, training, input_shapes)
    assigns = not plan.has_assigned_on_host()
    if not assigns:
        plan = _lower_graph(graph, dtype, training, input_shapes, assigns=False)
    if plan.loses_integers():
        plan = _lower_graph(graph, dtype, training, input_shapes, False, assigns)
    return plan


def _lower_graph(
    graph: CallGraph,
    dtype: str,
    training: bool | None,
    input_shapes: Sequence[Shape] | None,
    moves_integers: bool = True,
    assigns: bool = True,
) -> PlanBuilder:
    plan = new_plan(dtype, training)
    plan.moved_integers = set() if moves_integers else None
    plan.assigns = assigns
    values = Values()
    for i, tensor in enumerate(graph.inputs):
        shape = tuple(tensor.shape[1:]) if input_shapes is None else input_shapes[i]
        if None in shape:
            raise NotLowerable(f"input {i} has no fixed size: {shape}")
        sizes = tuple(n for n in shape if n is not None)
        values.put([tensor], [plan.input(sizes, tensor.dtype)], [None])
    _lower_nodes(plan, graph, values)
    add_losses(plan, values, graph.losses)
    plan.outputs, plan.masks = values.of(graph.outputs), values.masks_of(graph.outputs)
    if any(isinstance(y, BatchValue) or is_of_weights(y) for y in plan.outputs):
        raise NotLowerable("an output is one number for the batch")
    wanted = {h.value for h in (*plan.outputs, *plan.masks) if h is not None}
    plan.ops = fused(without_unused(plan.ops, wanted), wanted)
    return plan


def new_plan(dtype: str, training: bool | None) -> PlanBuilder:
    """An empty plan that follows users' functions."""
    plan = PlanBuilder(dtype, training)
    plan.lower_formula = partial(_lower_formula, plan)
    return plan


def lower_layer(
    layer: Layer, dtype: str, training: bool, input_shape: Shape, input_dtype: str
) -> PlanBuilder:
    """The plan of one layer with one input.

    Raises:
        NotLowerable: if it has no native form for such an input.
    """
    plan = PlanBuilder(dtype, training)
    if layer._dk_makes_mask and layer.supports_masking:
        raise NotLowerable("it makes a mask")
    if not fits_plan(layer, plan):
        raise NotLowerable("its layer computes in another type than the plan")
    handle = plan.input(input_shape, input_dtype)
    plan.outputs = _as_list(_lower(layer, plan, [handle]))
    if len(plan.outputs) != 1 or plan.outputs[0].dtype != dtype:
        raise NotLowerable("its layer computes in another type than the plan")
    return plan


def has_flags(graph: Calls) -> bool:
    """Whether a plan for ``model(x)`` may differ from that of a model told ``training=False``."""
    for node in graph.nodes:
        if graph.flags_yield and node.kwargs.get("training"):
            return True
        inner = graph_of(node.operation)
        if inner is None:
            continue
        told = cast("Layer", node.operation)._dk_call_info.default_training
        if (told and inner.in_training is not None) or has_flags(inner):
            return True
    return False


def _lower_nodes(plan: PlanBuilder, graph: Calls, values: Values) -> None:
    for node in graph.nodes:
        if node.is_input:
            continue
        inputs, masks = values.of(node.input_tensors), values.masks_of(node.input_tensors)
        before = plan.training
        plan.training = _flag(plan, graph, node)
        try:
            values.put(node.outputs, *_lower_node(plan, node, inputs, masks))
        finally:
            plan.training = before


def _flag(plan: PlanBuilder, graph: Calls, node: Node) -> bool | None:
    """What a call is told of `training`."""
    given = node.kwargs.get("training")
    if given is not None and (plan.training is None or not graph.flags_yield):
        return bool(given)
    if plan.training is None and isinstance(node.operation, Layer):
        default: bool | None = node.operation._dk_call_info.default_training
        return default
    return plan.training


def _lower_node(
    plan: PlanBuilder, node: Node, inputs: list[Handle], masks: Masks
) -> tuple[list[Handle], Masks]:
    operation = node.operation
    if isinstance(operation, WeightValue):
        return [formulas_of(plan).read(operation.variable)], [None]
    if isinstance(operation, Assignment):
        assign(plan, operation.variable, inputs[0])
        return [], []
    graph = graph_of(operation)
    if graph is not None and plan.training and graph.in_training is not None:
        graph = graph.in_training
    order = None if graph is None else order_of(graph, node)
    if graph is not None and order is not None:
        inputs, masks = [inputs[i] for i in order], [masks[i] for i in order]
        inner = Values()
        inner.put(graph.inputs, inputs, masks)
        _lower_nodes(plan, graph, inner)
        add_losses(plan, inner, graph.losses)
        outputs = _penalised(plan, operation, inner.of(graph.outputs))
        return outputs, inner.masks_of(graph.outputs)
    mark = plan.mark()
    try:
        outputs, made = _lower_natively(plan, node, inputs, masks)
        outputs = _penalised(plan, operation, outputs)
    except NotLowerable as why:
        whole = any(isinstance(x, BatchValue) or is_of_weights(x) for x in inputs)
        if isinstance(operation, RowDraw) or whole:
            raise  # there is nothing to call, or what it takes has no rows
        plan.go_back(mark)
        outputs, made = call_on_host(plan, node, inputs, masks, str(why))
        plan.parts.append((operation.name, type(operation).__name__, str(why)))
        return outputs, made
    since = plan.parts[mark.parts :]  # what it consists of
    if all(reason == "" for _, _, reason in since):
        del plan.parts[mark.parts :]
        partly = (
            "a function it was given runs there"
            if len(plan.host_reasons) > mark.host_reasons
            else ""
        )
        plan.parts.append((operation.name, type(operation).__name__, partly))
    return outputs, made


def _lower_natively(
    plan: PlanBuilder, node: Node, inputs: list[Handle], masks: Masks
) -> tuple[list[Handle], Masks]:
    """The node's native form: its own, a registered one, or that of an op; and masks of it.

    Raises:
        NotLowerable: if it has none.
    """
    operation = node.operation
    if any(x.dtype == STRING for x in inputs):
        raise NotLowerable("it reads strings")
    if isinstance(operation, FreeDraw):
        return [lower_draw(plan, operation)], [None]
    if isinstance(operation, DropoutDraw):
        return [lower_dropout(plan, operation, inputs[0])], [None]
    rule = lowering_for(type(operation))
    if rule is not None:
        outputs = _as_list(rule(plan, operation, *with_handles(node, inputs)))
        return outputs, _lower_mask(plan, node, inputs, masks)
    if isinstance(operation, FunctionOperation):
        outputs = lower_op(plan, node, inputs)
        return outputs, masks if _gives_what_it_takes(node) else [None] * len(outputs)
    if any(isinstance(x, BatchValue) for x in inputs):
        raise NotLowerable("it takes a value of the whole batch")
    if any(map(is_of_weights, inputs)):
        raise NotLowerable("it is called with weights alone")
    if not isinstance(operation, Layer):
        raise NotLowerable("it is no layer, and no rule is registered for it")
    if not has_lowering(operation):
        return _lower_followed(plan, node, inputs, masks)
    options, given = options_of(node), inputs
    told = node.kwargs.get("mask")
    if isinstance(told, KerasTensor) and operation._dk_lowers_mask and options is not None:
        at = next(i for i, t in enumerate(node.input_tensors) if t is told)
        options = {**options, "mask": inputs[at]}
        given = inputs[:at] + inputs[at + 1 :]
    elif reads_masks(operation, masks, node.args, node.kwargs):
        if not operation._dk_lowers_mask or options is None or len(masks) != 1:
            return _lower_followed(plan, node, inputs, masks)
        options = {**options, "mask": masks[0]}
    if options is None:
        raise NotLowerable("it is called with more than tensors")
    if not fits_plan(operation, plan):
        raise NotLowerable(
            f"it computes in {operation.compute_dtype} with weights in {operation.variable_dtype}, "
            f"the plan in {plan.dtype}"
        )
    if writes_while_predicting(operation, plan):
        raise NotLowerable("it writes state where the plan predicts")
    try:
        outputs = _as_list(_lower(operation, plan, given, options))
    except ByDefinition:
        return _lower_followed(plan, node, inputs, masks)
    return outputs, _lower_mask(plan, node, inputs, masks)


def _gives_what_it_takes(node: Node) -> bool:
    """Whether an op hands on the very array, so that its mask goes along."""
    is_cast = name_of(cast("FunctionOperation", node.operation)) == "cast"
    return is_cast and node.input_tensors[0].dtype == node.outputs[0].dtype


def _lower_mask(plan: PlanBuilder, node: Node, inputs: list[Handle], masks: Masks) -> Masks:
    """The masks of the outputs of a layer that has a native form."""
    layer, count = cast("Layer", node.operation), len(node.outputs)
    passes = any(mask is not None for mask in masks) or layer._dk_makes_mask
    if not layer.supports_masking or not passes:
        return [None] * count
    followed = follow(layer, node, plan.training, masks, only_mask=True)
    return lower_parts(plan, followed, inputs, masks)[1]


def _lower_followed(
    plan: PlanBuilder, node: Node, inputs: list[Handle], masks: Masks
) -> tuple[list[Handle], Masks]:
    """A user's layer, op by op: its weights become parameters of the plan."""
    layer = cast("Layer", node.operation)
    if metric_variables(layer):
        raise NotLowerable("its `call` may update metrics")
    if not layer.compute_dtype == layer.variable_dtype == plan.dtype:
        raise NotLowerable(f"it computes in {layer.compute_dtype}, the plan in {plan.dtype}")
    followed = follow(layer, node, plan.training, masks)
    outputs, made = lower_parts(plan, followed, inputs, masks)
    whole = any(isinstance(h, BatchValue) or is_of_weights(h) for h in outputs)
    if whole or [h.sample_shape for h in outputs] != [tuple(t.shape[1:]) for t in node.outputs]:
        raise NotLowerable("its `call` gives another shape than it says")
    return outputs, made


def lower_parts(
    plan: PlanBuilder, followed: Followed, inputs: list[Handle], masks: Masks
) -> tuple[list[Handle], Masks]:
    """What a call was found to do, node by node: its outputs, and their masks."""
    inner = Values()
    inner.put(followed.inputs[: len(inputs)], inputs, masks)
    given = [mask for mask in masks if mask is not None]
    inner.put(followed.inputs[len(inputs) :], given, [None] * len(given))
    for made in followed.needed_nodes():
        if made.is_input:
            continue
        if not all(id(t) in inner.handles for t in made.input_tensors):
            raise NotLowerable("it uses tensors of another call")
        before = len(plan.host_reasons)
        _lower_nodes(plan, _Part(made, followed.flags_yield), inner)
        if not isinstance(made.operation, Layer) and len(plan.host_reasons) > before:
            raise NotLowerable(plan.host_reasons[-1][1])  # one step in Python is better than two
    if not all(id(t) in inner.handles for t in followed.outputs):
        raise NotLowerable("it gives a tensor that no op of its own made")
    add_losses(plan, inner, followed.losses)
    flowed = inner.masks_of(followed.outputs)  # of layers inside, as they come when it runs
    said = [None if t is None else inner.handles.get(id(t)) for t in followed.masks]
    flowed += [None] * (len(said) - len(flowed))
    made_masks = [
        own if own is not None else other for own, other in zip(flowed, said, strict=True)
    ]
    return inner.of(followed.outputs), made_masks


def add_losses(plan: PlanBuilder, values: Values, losses: Sequence[KerasTensor]) -> None:
    """Losses that calls add become part of the total."""
    for loss in losses:
        handle = values.handles.get(id(loss))
        if handle is None or handle.dtype != plan.dtype:
            raise NotLowerable("it adds a loss that does not follow from its inputs")
        plan.adds_losses = True
        mean = isinstance(handle, BatchNumber) and handle.reduced == "mean"
        if is_common(handle) or is_of_weights(handle):
            if handle.own_shape:
                raise NotLowerable("it adds a loss that is no number")
            mean = True  # of copies
        if is_of_weights(handle):
            penalise(plan, handle)
        else:
            plan.added_loss(handle, 1.0, sums=not mean)


def _lower_formula(
    plan: PlanBuilder, function: Callable[..., object], xs: Sequence[Handle]
) -> list[Handle]:
    """A function of values, such as an activation of a user."""
    mark = plan.mark()
    try:
        shapes = [x.own_shape if is_of_weights(x) else x.shape for x in xs]
        kinds = [x.dtype for x in xs]
        followed = follow_function(function, list(zip(shapes, kinds, strict=True)))
        outputs, _ = lower_parts(plan, followed, list(xs), [None] * len(xs))
    except NotLowerable:
        plan.go_back(mark)
        raise
    del plan.parts[mark.parts :]
    return outputs


@dataclass(frozen=True, slots=True)
class _Part:
    """One node as a graph."""

    node: Node
    flags_yield: bool

    @property
    def nodes(self) -> list[Node]:
        return [self.node]


def _lower(
    layer: Any, plan: PlanBuilder, inputs: list[Handle], options: dict[str, object] | None = None
) -> Any:
    """Let the layer write its native form, in its compute dtype."""
    lower = partial(
        layer.lower if layer._dk_form is None else layer._dk_form.lower, **options or {}
    )
    plan.precision = mixed_precision(layer)
    if not plan.precision:
        return lower(plan, *inputs)
    try:  # a reshape or the identity rounds nothing on its own
        return [plan.rounded(y) for y in _as_list(lower(plan, *inputs))]
    finally:
        plan.precision = ""


def _penalised(plan: PlanBuilder, layer: Operation, outputs: list[Handle]) -> list[Handle]:
    regularizer = getattr(layer, "activity_regularizer", None)
    if regularizer is None:
        return outputs
    return [penalised(plan, y, regularizer) for y in outputs]


def _as_list(outputs: Any) -> list[Handle]:
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]
