"""From a model's graph to a plan: each node natively where it can, else on the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from densekit import ops
from densekit._core import tree
from densekit._core.variable import Variable
from densekit.engines.host import HostFunction
from densekit.engines.plan import Handle, NotLowerable, PlanBuilder
from densekit.layers import Layer, has_lowering
from densekit.ops import KerasTensor

Shape = tuple[int, ...]
Handles = dict[int, Handle]  # by id of the symbolic tensor


def lower_graph(
    graph: Any, dtype: str, training: bool, input_shapes: Sequence[Shape] | None = None
) -> PlanBuilder:
    """Lower a graph: ``inputs`` and ``outputs``, lists of `KerasTensor`, and ``nodes`` in order.

    Args:
        input_shapes: shape of one sample of each input, where the graph leaves sizes open.

    Raises:
        NotLowerable: if a part mixes samples or has no fixed size.
    """
    plan = PlanBuilder(dtype, training)
    handles: Handles = {}
    for i, tensor in enumerate(graph.inputs):
        shape = tuple(tensor.shape[1:]) if input_shapes is None else input_shapes[i]
        if None in shape:
            raise NotLowerable
        handles[id(tensor)] = plan.input(shape, tensor.dtype)
    _lower_nodes(plan, graph, handles)
    plan.outputs = [handles[id(tensor)] for tensor in graph.outputs]
    return plan


def lower_whole(
    function: Callable[..., Any],
    inputs: Sequence[tuple[Shape, str]],
    dtype: str,
    training: bool,
    variables: Sequence[Variable],
    state: Sequence[Variable],
    name: str,
    metrics: Sequence[Variable] = (),
) -> PlanBuilder:
    """A plan of one host step: for models whose calls do not follow a graph of samples.

    Args:
        function: takes one array per input, with a batch axis; gives a structure of arrays.
        inputs: shape of one sample and dtype of each input.
    """
    plan = PlanBuilder(dtype, training)
    xs = [plan.input(shape, kind) for shape, kind in inputs]
    tensors = [KerasTensor(x.shape, x.dtype) for x in xs]
    spec = tree.flatten(ops.compute_output_spec(function, *tensors))
    host = HostFunction(function, variables, state, name, metrics)
    plan.outputs = plan.host_function(host, xs, [(t.shape, t.dtype) for t in spec])
    return plan


def _lower_nodes(plan: PlanBuilder, graph: Any, handles: Handles) -> None:
    for node in graph.nodes:
        if node.is_input:
            continue
        inputs = [handles[id(tensor)] for tensor in node.input_tensors]
        training = node.kwargs.get("training")
        before = plan.training
        if training is not None:
            plan.training = bool(training)
        outputs = _lower_node(plan, node, inputs)
        plan.training = before
        for tensor, handle in zip(node.outputs, outputs, strict=True):
            handles[id(tensor)] = handle


def _lower_node(plan: PlanBuilder, node: Any, inputs: list[Handle]) -> list[Handle]:
    operation = node.operation
    graph = _graph_of(operation)
    if graph is not None and len(graph.inputs) == len(inputs):
        inner = {id(t): handle for t, handle in zip(graph.inputs, inputs, strict=True)}
        _lower_nodes(plan, graph, inner)
        outputs = [inner[id(t)] for t in graph.outputs]
        return _penalised(plan, operation, outputs)
    if isinstance(operation, Layer) and _is_plain_call(node) and _is_native(operation, plan):
        mark = len(plan.steps), len(plan.seed_generators)
        try:
            return _penalised(plan, operation, _as_list(_lower(operation, plan, inputs)))
        except NotLowerable:
            del plan.steps[mark[0] :], plan.seed_generators[mark[1] :]
    return _on_host(plan, node, inputs)


def _lower(layer: Any, plan: PlanBuilder, inputs: list[Handle]) -> Any:
    """Let the layer write its native form, in its compute dtype."""
    if not _is_mixed_bfloat16(layer):
        return layer.lower(plan, *inputs)
    plan.bfloat16 = True
    try:  # a reshape or the identity rounds nothing on its own
        return [plan.rounded(y) for y in _as_list(layer.lower(plan, *inputs))]
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


def _is_mixed_bfloat16(layer: Layer) -> bool:
    return (layer.compute_dtype, layer.variable_dtype) == ("bfloat16", "float32")


def _is_plain_call(node: Any) -> bool:
    """Whether nothing but tensors was passed, all of them symbolic."""
    given = {key: value for key, value in node.kwargs.items() if key not in ("training", "mask")}
    leaves = tree.flatten((node.args, given))
    return node.kwargs.get("mask") is None and all(isinstance(x, KerasTensor) for x in leaves)


def _penalised(plan: PlanBuilder, layer: Layer, outputs: list[Handle]) -> list[Handle]:
    regularizer = layer.activity_regularizer
    if regularizer is None:
        return outputs
    return [plan.activity_regularizer(y, regularizer) for y in outputs]


def _on_host(plan: PlanBuilder, node: Any, inputs: list[Handle]) -> list[Handle]:
    """The node's own call, with arrays in place of its symbolic tensors."""
    operation = node.operation
    call = (node.args, dict(node.kwargs))
    variables: list[Variable] = []
    state: list[Variable] = []
    metrics: list[Variable] = []
    if isinstance(operation, Layer):
        metrics = metric_variables(operation)
        variables = list(operation.trainable_variables)
        state = list(operation.non_trainable_variables)
        if node.kwargs.get("training") is None:
            call[1]["training"] = plan.training
    else:
        leaves = tree.flatten(call)
        variables = [leaf for leaf in leaves if isinstance(leaf, Variable) and leaf.trainable]

    def function(*arrays: Any) -> Any:
        values = iter(arrays)
        args, kwargs = tree.map_structure(
            lambda leaf: next(values) if isinstance(leaf, KerasTensor) else leaf, call
        )
        return operation(*args, **kwargs)

    outputs = [(tuple(t.shape), t.dtype) for t in node.outputs]
    if any(None in shape[1:] for shape, _ in outputs):  # sizes known only now
        tensors = [KerasTensor(x.shape, x.dtype) for x in inputs]
        spec = tree.flatten(ops.compute_output_spec(function, *tensors))
        outputs = [(tuple(t.shape), t.dtype) for t in spec]
    host = HostFunction(function, variables, state, operation.name, metrics)
    return plan.host_function(host, inputs, outputs)


def _as_list(outputs: Any) -> list[Handle]:
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def metric_variables(layer: Any) -> list[Variable]:
    """State of the metrics that a layer and its sub-layers own and may update in `call`."""
    owners = layer._flatten_layers()
    return [v for owner in owners for metric in owner._tracker.metrics for v in metric.variables]
