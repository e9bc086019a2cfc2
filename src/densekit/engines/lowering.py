"""From a model's graph to a plan: each node natively where it can, else on the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Any

from densekit._core import tree
from densekit._core.dtypes import STRING
from densekit._core.engine import Source
from densekit._core.variable import Variable
from densekit.engines.following import Followed, follow, follow_function
from densekit.engines.fusing import fused
from densekit.engines.host import HostFunction
from densekit.engines.op_lowerings import lower_operation
from densekit.engines.plan import Handle, NotLowerable, PlanBuilder
from densekit.engines.probe import Findings, probe
from densekit.engines.registry import lowering_for
from densekit.layers import Layer, has_lowering
from densekit.ops import KerasTensor
from densekit.ops._symbolic import FunctionOperation

Shape = tuple[int, ...]
Handles = dict[int, Handle]  # by id of the symbolic tensor


def lower_graph(
    graph: Any, dtype: str, training: bool | None, input_shapes: Sequence[Shape] | None = None
) -> PlanBuilder:
    """Lower a graph: ``inputs`` and ``outputs``, lists of `KerasTensor`, and ``nodes`` in order.

    Args:
        training: what its calls are told; None: nothing, and the plan is for inference.
        input_shapes: shape of one sample of each input, where the graph leaves sizes open.

    Raises:
        NotLowerable: if a part mixes samples or has no fixed size.
    """
    plan = PlanBuilder(dtype, training)
    plan.lower_function = partial(_lower_user_function, plan)
    handles: Handles = {}
    for i, tensor in enumerate(graph.inputs):
        shape = tuple(tensor.shape[1:]) if input_shapes is None else input_shapes[i]
        if None in shape:
            raise NotLowerable(f"input {i} has no fixed size: {shape}")
        handles[id(tensor)] = plan.input(shape, tensor.dtype)
    _lower_nodes(plan, graph, handles)
    plan.outputs = [handles[id(tensor)] for tensor in graph.outputs]
    plan.steps = fused(plan.steps, {handle.value for handle in plan.outputs})
    return plan


def lower_layer(
    layer: Layer, dtype: str, training: bool, input_shape: Shape, input_dtype: str
) -> PlanBuilder:
    """The plan of one layer with one input.

    Raises:
        NotLowerable: if it has no native form for such an input.
    """
    plan = PlanBuilder(dtype, training)
    if not _is_native(layer, plan):
        raise NotLowerable("its layer computes in another type than the plan")
    handle = plan.input(input_shape, input_dtype)
    plan.outputs = _as_list(_lower(layer, plan, [handle]))
    if len(plan.outputs) != 1 or plan.outputs[0].dtype != dtype:
        raise NotLowerable("its layer computes in another type than the plan")
    return plan


def lower_whole(source: Source) -> PlanBuilder:
    """A plan of one host step: for models whose calls do not follow a graph of samples.

    Raises:
        NotLowerable: if the outputs are not one row for each row of the inputs.
    """
    plan = PlanBuilder(source.dtype, source.training)
    xs = [plan.input(shape, kind) for shape, kind in source.inputs]
    fixed = [None] * len(xs) if source.graph is None else [t.shape[0] for t in source.graph.inputs]
    rows = [(n, *x.sample_shape) for n, x in zip(fixed, xs, strict=True)]
    found = probe(source.trial, [(shape, x.dtype) for shape, x in zip(rows, xs, strict=True)])
    if source.graph is not None and len(found.outputs) == len(source.graph.outputs):
        pairs = zip(found.outputs, source.graph.outputs, strict=True)
        found.outputs = [(shape, _dtype(kind, t.dtype)) for (shape, kind), t in pairs]
        if plan.learns:
            found.written |= {id(v) for v in source.state}
    plan.outputs = _host_step(
        plan, source.definition, source.variables, source.state, source.name, xs, found
    )
    return plan


def has_flags(graph: Any) -> bool:
    """Whether a plan for ``model(x)`` may differ from that of a model told ``training=False``."""
    for node in graph.nodes:
        if graph.flags_yield and node.kwargs.get("training"):
            return True
        inner = _graph_of(node.operation)
        if inner is not None and has_flags(inner):
            return True
    return False


def _lower_nodes(plan: PlanBuilder, graph: Any, handles: Handles) -> None:
    for node in graph.nodes:
        if node.is_input:
            continue
        inputs = [handles[id(tensor)] for tensor in node.input_tensors]
        before = plan.training
        plan.training = _flag(plan, graph, node)
        try:
            outputs = _lower_node(plan, node, inputs)
        finally:
            plan.training = before
        for tensor, handle in zip(node.outputs, outputs, strict=True):
            handles[id(tensor)] = handle


def _flag(plan: PlanBuilder, graph: Any, node: Any) -> bool | None:
    """What a call is told of `training`."""
    given = node.kwargs.get("training")
    if given is not None and (plan.training is None or not graph.flags_yield):
        return bool(given)
    if plan.training is None and isinstance(node.operation, Layer):
        default: bool | None = node.operation._dk_call_info.default_training
        return default
    return plan.training


def _lower_node(plan: PlanBuilder, node: Any, inputs: list[Handle]) -> list[Handle]:
    operation = node.operation
    graph = _graph_of(operation)
    if graph is not None and len(graph.inputs) == len(inputs):
        inner = {id(t): handle for t, handle in zip(graph.inputs, inputs, strict=True)}
        _lower_nodes(plan, graph, inner)
        outputs = [inner[id(t)] for t in graph.outputs]
        return _penalised(plan, operation, outputs)
    mark = plan.mark()
    try:
        outputs = _penalised(plan, operation, _lower_natively(plan, node, inputs))
    except NotLowerable as why:
        plan.go_back(mark)
        outputs = _on_host(plan, node, inputs, str(why))
        plan.parts.append((operation.name, type(operation).__name__, str(why)))
        return outputs
    if all(reason == "" for _, _, reason in plan.parts[mark[3] :]):  # what it consists of, too
        del plan.parts[mark[3] :]
        partly = "a function it was given runs there" if len(plan.host_reasons) > mark[2] else ""
        plan.parts.append((operation.name, type(operation).__name__, partly))
    return outputs


def _lower_natively(plan: PlanBuilder, node: Any, inputs: list[Handle]) -> list[Handle]:
    """The node's native form: its own, a registered one, or that of an op.

    Raises:
        NotLowerable: if it has none.
    """
    operation = node.operation
    if any(x.dtype == STRING for x in inputs):
        raise NotLowerable("it reads strings")
    rule = lowering_for(type(operation))
    if rule is not None:
        return _as_list(rule(plan, operation, *_with_handles(node, inputs)))
    if isinstance(operation, FunctionOperation):
        return lower_op(plan, node, inputs)
    if not isinstance(operation, Layer):
        raise NotLowerable("it is no layer, and no rule is registered for it")
    if not has_lowering(operation):
        return _lower_followed(plan, node, inputs)
    options = _options(node)
    if options is None:
        raise NotLowerable("it is called with more than tensors")
    if not _is_native(operation, plan):
        raise NotLowerable(
            f"it computes in {operation.compute_dtype} with weights in {operation.variable_dtype}, "
            f"the plan in {plan.dtype}"
        )
    if _draws_while_predicting(operation, plan):
        raise NotLowerable("it draws random numbers where the plan predicts")
    return _as_list(_lower(operation, plan, inputs, options))


def _lower_followed(plan: PlanBuilder, node: Any, inputs: list[Handle]) -> list[Handle]:
    """A user's layer, op by op: its weights become parameters of the plan."""
    layer = node.operation
    if layer.non_trainable_variables or metric_variables(layer):
        raise NotLowerable("its `call` may write state")
    if not layer.compute_dtype == layer.variable_dtype == plan.dtype:
        raise NotLowerable(f"it computes in {layer.compute_dtype}, the plan in {plan.dtype}")
    outputs = _lower_parts(plan, follow(layer, node, plan.training), inputs)
    if [h.sample_shape for h in outputs] != [tuple(t.shape[1:]) for t in node.outputs]:
        raise NotLowerable("its `call` gives another shape than it says")
    return outputs


def _lower_parts(plan: PlanBuilder, followed: Followed, inputs: list[Handle]) -> list[Handle]:
    """What a call was found to do, node by node."""
    inner = {id(t): handle for t, handle in zip(followed.inputs, inputs, strict=True)}
    for made in followed.nodes:
        if not made.input_tensors:
            continue
        if not all(id(t) in inner for t in made.input_tensors):
            raise NotLowerable("it uses tensors of another call")
        before = len(plan.host_reasons)
        _lower_nodes(plan, _Part(made, followed.flags_yield), inner)
        if not isinstance(made.operation, Layer) and len(plan.host_reasons) > before:
            raise NotLowerable(plan.host_reasons[-1][1])  # one step in Python is better than two
    return [inner[id(t)] for t in followed.outputs]


def _lower_user_function(plan: PlanBuilder, function: Any, x: Handle) -> Handle:
    """A user's function of one value, such as an activation."""
    mark = plan.mark()
    try:
        followed = follow_function(function, x.shape, x.dtype)
        (y,) = _lower_parts(plan, followed, [x])
    except NotLowerable:
        plan.go_back(mark)
        raise
    del plan.parts[mark[3] :]
    return y


@dataclass(frozen=True, slots=True)
class _Part:
    """One node as a graph."""

    node: Any
    flags_yield: bool

    @property
    def nodes(self) -> list[Any]:
        return [self.node]


def lower_op(plan: PlanBuilder, node: Any, inputs: list[Handle]) -> list[Handle]:
    """An op, in the type its definition gives."""
    dtypes = {tensor.dtype for tensor in node.outputs}
    if not dtypes <= {plan.dtype, "bfloat16", "bool", "int32", "int64"}:
        raise NotLowerable(
            f"it gives {', '.join(sorted(dtypes))}, the plan computes in {plan.dtype}"
        )
    plan.bfloat16 = dtypes == {"bfloat16"}
    try:
        outputs = lower_operation(plan, node.operation, *_with_handles(node, inputs))
    finally:
        plan.bfloat16 = False
    for tensor, handle in zip(node.outputs, outputs, strict=True):
        if tensor.dtype != handle.dtype:
            raise NotLowerable(f"it gives {tensor.dtype}")
    return outputs


def _with_handles(node: Any, inputs: list[Handle]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The call's arguments, with handles in place of its symbolic tensors."""
    values = iter(inputs)
    args, kwargs = tree.map_structure(
        lambda leaf: next(values) if isinstance(leaf, KerasTensor) else leaf,
        (node.args, dict(node.kwargs)),
    )
    return tuple(args), kwargs


def _lower(
    layer: Any, plan: PlanBuilder, inputs: list[Handle], options: dict[str, Any] | None = None
) -> Any:
    """Let the layer write its native form, in its compute dtype."""
    lower = partial(
        layer.lower if layer._dk_form is None else layer._dk_form.lower, **options or {}
    )
    if not _is_mixed_bfloat16(layer):
        return lower(plan, *inputs)
    plan.bfloat16 = True
    try:  # a reshape or the identity rounds nothing on its own
        return [plan.rounded(y) for y in _as_list(lower(plan, *inputs))]
    finally:
        plan.bfloat16 = False


def _graph_of(operation: Any) -> Any:
    """The graph of a model inside the model, or None."""
    if not isinstance(operation, Layer):
        return None
    method = getattr(operation, "_dk_graph", None)
    return method() if callable(method) else None


def _is_native(layer: Layer, plan: PlanBuilder) -> bool:
    if not has_lowering(layer):
        return False
    if _is_mixed_bfloat16(layer):
        return plan.dtype == "float32"
    return layer.compute_dtype == layer.variable_dtype == plan.dtype


def _draws_while_predicting(layer: Layer, plan: PlanBuilder) -> bool:
    """Whether a layer is to train in a plan that does not: its state is written on the host."""
    return bool(plan.training) and not plan.learns and bool(layer.non_trainable_variables)


def _is_mixed_bfloat16(layer: Layer) -> bool:
    return (layer.compute_dtype, layer.variable_dtype) == ("bfloat16", "float32")


def _options(node: Any) -> dict[str, Any] | None:
    """What was passed beside symbolic tensors, if the layer's `lower` takes it; else None."""
    given = {key: value for key, value in node.kwargs.items() if key not in ("training", "mask")}
    known = signature(type(node.operation).lower).parameters
    options = {
        key: given.pop(key)
        for key, value in list(given.items())
        if key in known and not any(isinstance(x, KerasTensor) for x in tree.flatten(value))
    }
    leaves = tree.flatten((node.args, given))
    plain = all(isinstance(x, KerasTensor) for x in leaves)
    return options if plain and node.kwargs.get("mask") is None else None


def _penalised(plan: PlanBuilder, layer: Any, outputs: list[Handle]) -> list[Handle]:
    regularizer = getattr(layer, "activity_regularizer", None)
    if regularizer is None:
        return outputs
    return [plan.activity_regularizer(y, regularizer) for y in outputs]


def _on_host(plan: PlanBuilder, node: Any, inputs: list[Handle], reason: str) -> list[Handle]:
    """The node's own call, with arrays in place of its symbolic tensors."""
    operation = node.operation
    args, kwargs = node.args, dict(node.kwargs)
    if isinstance(operation, Layer):
        variables = list(operation.trainable_variables)
        state = [*operation.non_trainable_variables, *metric_variables(operation)]
        kwargs.pop("training", None)
        if plan.training is not None:
            kwargs["training"] = plan.training
    else:
        leaves = tree.flatten((args, kwargs))
        variables = [leaf for leaf in leaves if isinstance(leaf, Variable) and leaf.trainable]
        state = []

    def function(*arrays: Any, **flag: Any) -> Any:
        values = iter(arrays)
        given, named = tree.map_structure(
            lambda leaf: next(values) if isinstance(leaf, KerasTensor) else leaf, (args, kwargs)
        )
        return operation(*given, **named | flag)

    declared = [(tuple(t.shape), t.dtype) for t in node.outputs]
    # Training is not tried out: what users count there counts their steps.
    tried = partial(function, training=False) if "training" in kwargs and plan.learns else function
    try:
        found = probe(tried, [(x.shape, x.dtype) for x in inputs])
    except Exception:  # it cannot be tried out on any rows: what it says of itself must do
        if any(None in shape[1:] for shape, _ in declared):
            raise
        found = Findings(declared, written={id(v) for v in state})
    if len(found.outputs) == len(declared):
        pairs = zip(found.outputs, declared, strict=True)
        found.outputs = [(shape, _dtype(kind, said)) for (shape, kind), (_, said) in pairs]
    else:
        found.outputs = declared
    if plan.learns:
        found.written |= {id(v) for v in state}
    return _host_step(plan, function, variables, state, operation.name, inputs, found, reason)


def _dtype(found: str, declared: str) -> str:
    """An integer is one whatever a layer says of itself; a float is as wide as it says."""
    return declared if "float" in found and "float" in declared else found


def _host_step(
    plan: PlanBuilder,
    function: Callable[..., Any],
    variables: Sequence[Variable],
    state: Sequence[Variable],
    name: str,
    inputs: list[Handle],
    found: Findings,
    reason: str = "",
) -> list[Handle]:
    if not found.keeps_rows:
        raise NotLowerable(f"{name} does not give one row for each row of its input")
    plan.adds_losses = plan.adds_losses or found.adds_losses
    plan.mixes_rows = plan.mixes_rows or found.mixes_rows
    plan.writes_weights = plan.writes_weights or any(id(v) in found.written for v in variables)
    host = HostFunction(function, variables, state, name, bool(found.written))
    return plan.host_function(host, inputs, found.outputs, reason)


def _as_list(outputs: Any) -> list[Handle]:
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def metric_variables(layer: Any) -> list[Variable]:
    """State of the metrics that a layer and its sub-layers own and may update in `call`."""
    owners = layer._dk_flatten_layers()
    return [v for owner in owners for metric in owner._tracker.metrics for v in metric.variables]
