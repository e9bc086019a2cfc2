"""Parts of models that run in Python inside a plan: calls of a graph, or a whole model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from densekit._core import tree
from densekit._core.engine import Source
from densekit._core.masks import mask_of
from densekit._core.types import TensorLike
from densekit._core.variable import Variable
from densekit.engines.host import HostFunction
from densekit.engines.masked import MaskedFunction, Masks
from densekit.engines.plan import Handle, NotLowerable, PlanBuilder
from densekit.engines.probe import Findings, probe
from densekit.layers import Layer
from densekit.ops import KerasTensor
from densekit.ops._symbolic import Node


def lower_whole(source: Source) -> PlanBuilder:
    """A plan of one host node: for models whose calls do not follow a graph of samples.

    Raises:
        NotLowerable: if the outputs are not one row for each row of the inputs.
    """
    graph = source.graph
    if graph is not None and _has_open_size(graph.outputs) and not _has_open_size(graph.inputs):
        raise NotLowerable("the size of what it gives follows from the data")
    plan = PlanBuilder(source.dtype, source.training)
    xs = [plan.input(shape, kind) for shape, kind in source.inputs]
    trial, function = MaskedFunction(source.trial), MaskedFunction(source.definition)
    fixed = [None] * len(xs) if source.graph is None else [t.shape[0] for t in source.graph.inputs]
    rows = [(n, *x.sample_shape) for n, x in zip(fixed, xs, strict=True)]
    found = probe(trial, [(shape, x.dtype) for shape, x in zip(rows, xs, strict=True)])
    function.made = trial.made
    if source.graph is not None and len(found.outputs) >= len(source.graph.outputs):
        said = [t.dtype for t in source.graph.outputs]
        said += [kind for _, kind in found.outputs[len(said) :]]  # masks
        pairs = zip(found.outputs, said, strict=True)
        found.outputs = [(shape, _dtype(kind, own)) for (shape, kind), own in pairs]
        if plan.learns:
            found.written |= {id(v) for v in source.state}
    plan.outputs, plan.masks = function.split(
        _host_node(plan, function, source.variables, source.state, source.name, xs, found)
    )
    return plan


def call_on_host(
    plan: PlanBuilder, node: Node, inputs: list[Handle], masks: Masks, reason: str
) -> tuple[list[Handle], Masks]:
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

    def call(*arrays: TensorLike, **flag: bool) -> object:
        values = iter(arrays)
        given, named = tree.map_structure(
            lambda leaf: next(values) if isinstance(leaf, KerasTensor) else leaf, (args, kwargs)
        )
        return operation(*given, **named | flag)

    function = MaskedFunction(call, masks)
    inputs = [*inputs, *(mask for mask in masks if mask is not None)]
    declared = [(tuple(t.shape), t.dtype) for t in node.outputs]
    if _has_open_size(node.outputs) and not _has_open_size(node.input_tensors):
        raise NotLowerable(f"the size of what {operation.name} gives follows from the data")
    # Training is not tried out: what users count there counts their steps.
    tried = partial(function, training=False) if "training" in kwargs and plan.learns else function
    try:
        found = probe(tried, [(x.shape, x.dtype) for x in inputs])
    except Exception:  # it cannot be tried out on any rows: what it says of itself must do
        if any(None in shape[1:] for shape, _ in declared):
            raise
        said = [mask_of(tensor) for tensor in node.outputs]
        function.made = [mask is not None for mask in said]
        rest = [(tuple(mask.shape), "bool") for mask in said if mask is not None]
        found = Findings([*declared, *rest], written={id(v) for v in state})
    made = sum(function.made or ())
    if len(found.outputs) == len(declared) + made:
        declared += found.outputs[len(declared) :]
        pairs = zip(found.outputs, declared, strict=True)
        found.outputs = [(shape, _dtype(kind, said)) for (shape, kind), (_, said) in pairs]
    else:
        found.outputs, function.made = declared, None
    if plan.learns:
        found.written |= {id(v) for v in state}
    return function.split(
        _host_node(plan, function, variables, state, operation.name, inputs, found, reason)
    )


def _has_open_size(tensors: Sequence[KerasTensor]) -> bool:
    return any(None in tensor.shape[1:] for tensor in tensors)


def _dtype(found: str, declared: str) -> str:
    """An integer is one whatever a layer says of itself; a float is as wide as it says."""
    return declared if "float" in found and "float" in declared else found


def _host_node(
    plan: PlanBuilder,
    function: Callable[..., object],
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


def metric_variables(layer: Any) -> list[Variable]:
    """State of the metrics that a layer and its sub-layers own and may update in `call`."""
    owners = layer._dk_flatten_layers()
    return [v for owner in owners for metric in owner._tracker.metrics for v in metric.variables]
