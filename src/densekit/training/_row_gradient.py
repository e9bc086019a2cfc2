"""Gradients of rows by rows, as formulas of a graph: what a tape inside of a tape gives.

They are ops like others, so that a plan computes them and takes their own gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import numpy as np

from densekit import ops
from densekit._core import tree
from densekit._core.plan import NotLowerable
from densekit._core.types import Array, Config, Operand, TensorLike
from densekit.layers import Dropout, Layer
from densekit.layers._base.call import CallContext, call_context
from densekit.ops import KerasTensor
from densekit.ops._symbolic import FunctionOperation, Node, recorded_nodes
from densekit.training._model import ModelGraph

# What has no slope, whatever goes in.
_CONSTANT = frozenset({"stop_gradient", "ones_like", "zeros_like", "full_like"})


def call_by_ops(layer: Layer, given: object, training: bool) -> object:
    """The outputs of a layer on symbols, its formulas as nodes of the graph that is recorded.

    Raises:
        NotLowerable: if it does more than compute.
    """
    if layer.activity_regularizer is not None or layer._dk_makes_mask:
        raise NotLowerable(f"{layer.name!r} adds a loss, or makes a mask, behind a watched array")
    if layer.compute_dtype != layer.variable_dtype:
        raise NotLowerable(f"{layer.name!r} computes in {layer.compute_dtype}")
    graph_of: Callable[[], ModelGraph | None] | None = getattr(layer, "_dk_graph", None)
    graph = graph_of() if graph_of is not None else None
    if graph is not None:
        within = graph.in_training if training and graph.in_training is not None else graph
        return _by_nodes(within, tree.flatten(given), training)
    if type(layer) is Dropout and training and isinstance(given, KerasTensor):
        # As a product, whose gradient has the same mask.
        x = _as_tensor(given)
        return ops.multiply(x, layer.call(ops.ones_like(x), training=True))
    flag = {"training": training} if layer._dk_call_info.has_training else {}
    token = call_context.set(CallContext(layer, None, True, training))
    try:
        return layer.call(given, **flag)
    finally:
        call_context.reset(token)


def _by_nodes(graph: ModelGraph, given: Sequence[object], training: bool) -> object:
    values: dict[int, object] = {id(x): value for x, value in zip(graph.inputs, given, strict=True)}
    for node in graph.nodes:
        if node.is_input:
            continue
        args, kwargs = tree.map_structure(
            lambda leaf: values[id(leaf)] if isinstance(leaf, KerasTensor) else leaf,
            (list(node.args), dict(node.kwargs)),
        )
        operation = node.operation
        if isinstance(operation, Layer):
            told = kwargs.pop("training", None)
            if kwargs or len(args) != 1:
                raise NotLowerable(f"{operation.name!r} is called with more than tensors")
            made = call_by_ops(operation, args[0], training if told is None else bool(told))
        else:
            made = operation(*args, **kwargs)
        for tensor, value in zip(node.outputs, tree.flatten(made), strict=True):
            values[id(tensor)] = value
    outputs = [values[id(x)] for x in graph.outputs]
    return tree.pack_as(graph.output_structure, outputs)


def row_gradient(target: KerasTensor, source: KerasTensor) -> KerasTensor:
    """The gradient of the sum of `target`, by each row of `source`.

    Raises:
        NotLowerable: where a formula between them has no rule here.
    """
    nodes = list(recorded_nodes.get() or ())
    depends = {id(source)}
    for node in nodes:
        stops = name_of_call(node) in _CONSTANT
        if not stops and any(id(x) in depends for x in node.input_tensors):
            depends.update(id(x) for x in node.outputs)
    if id(target) not in depends:
        raise NotLowerable("it takes the gradient of what does not depend on the rows")
    found: dict[int, KerasTensor] = {id(target): _tensor(ops.ones_like(_as_tensor(target)))}
    for node in reversed(nodes):
        outputs = [x for x in node.outputs if id(x) in found and id(x) != id(source)]
        if not outputs or not any(id(x) in depends for x in node.input_tensors):
            continue
        if len(node.outputs) != 1:
            raise NotLowerable(f"`{node.operation.name}` gives several values")
        for x, part in _pulled_back(node, found.pop(id(outputs[0])), depends):
            known = found.get(id(x))
            found[id(x)] = part if known is None else _tensor(ops.add(_as_tensor(known), part))
    if id(source) not in found:
        raise NotLowerable("it takes the gradient of what does not depend on the rows")
    return found[id(source)]


def _pulled_back(
    node: Node, gradient: KerasTensor, depends: set[int]
) -> list[tuple[KerasTensor, KerasTensor]]:
    """The gradients of what went into a call, from that of what it gave."""
    operation, (result,) = node.operation, node.outputs
    if not isinstance(operation, FunctionOperation):
        raise NotLowerable(f"the gradient of {operation.name} is no formula")
    name = name_of_call(node)
    settings: Config = {**operation.settings, **node.kwargs}
    settings |= dict(zip(operation.arguments, node.args, strict=False))
    operands = node.args
    if node.args and isinstance(node.args[0], list | tuple):
        operands = tuple(node.args[0])  # that are joined
    args = [*map(_as_tensor, operands)]
    given = _Given(_as_tensor(gradient), _as_tensor(result), args, settings)
    slope = _slope(name, given)
    parts = [ops.multiply(given.gradient, slope)] if slope is not None else _parts(name, given)
    return [
        (x, _of_shape(part, x))
        for x, part in zip(operands, parts, strict=False)
        if isinstance(x, KerasTensor) and id(x) in depends
    ]


def _of_shape(gradient: object, x: KerasTensor) -> KerasTensor:
    """A gradient summed over the axes along which a value was repeated."""
    y = _tensor(gradient)
    if x.shape[:1] != (None,) or len(y.shape) != len(x.shape):
        raise NotLowerable("it takes the gradient through values of other axes")
    pairs = zip(y.shape, x.shape, strict=True)
    axes = [i for i, (have, want) in enumerate(pairs) if i and have != want]
    return _tensor(ops.sum(_as_tensor(y), axis=axes, keepdims=True)) if axes else y


def name_of_call(node: Node) -> str:
    """Of the op that was called; of layers and draws ""."""
    operation = node.operation
    is_op = isinstance(operation, FunctionOperation)
    return type(operation).function.__name__ if is_op else ""  # type: ignore[attr-defined]


def _tensor(value: object) -> KerasTensor:
    if not isinstance(value, KerasTensor):
        raise NotLowerable("the gradient by rows is none of rows")
    return value


def _are_rows(value: object) -> bool:
    return isinstance(value, KerasTensor) and value.shape[:1] == (None,)


def _as_tensor(value: object) -> TensorLike:
    return cast("TensorLike", value)


class _Given(NamedTuple):
    """What a gradient is made of."""

    gradient: TensorLike  # of the result
    result: TensorLike
    args: Sequence[TensorLike]
    settings: Config


def _slope(name: str, given: _Given) -> TensorLike | None:
    """The derivative of an elementwise formula of one value; None of others."""
    x, y, settings = given.args[0], given.result, given.settings
    match name:
        case "elu":
            return ops.where(ops.greater(x, 0.0), 1.0, ops.add(y, settings["alpha"]))
        case "tanh":
            return ops.subtract(1.0, ops.square(y))
        case "sigmoid":
            return ops.multiply(y, ops.subtract(1.0, y))
        case "silu":
            share = ops.sigmoid(x)
            return ops.multiply(share, ops.add(1.0, ops.multiply(x, ops.subtract(1.0, share))))
        case "softplus":
            return ops.sigmoid(x)
        case "square":
            return ops.multiply(2.0, x)
        case "power":
            return _slope_of_power(x, settings["x2"])
        case "sqrt":
            return ops.divide(0.5, y)
        case "exp":
            return y
        case "log":
            return ops.divide(1.0, x)
        case "sin":
            return ops.cos(x)
        case "cos":
            return ops.negative(ops.sin(x))
        case "absolute" | "abs":
            return ops.sign(x)
        case "negative":
            return ops.full_like(x, -1.0)
    return None


def _slope_of_power(x: TensorLike, exponent: object) -> TensorLike:
    if not isinstance(exponent, int | float):
        raise NotLowerable("it takes the gradient of a power that is none of a number")
    if exponent == 2:
        return ops.multiply(2.0, x)
    return ops.multiply(float(exponent), ops.power(x, exponent - 1))


def _parts(name: str, given: _Given) -> Sequence[TensorLike]:
    """The gradients of the arguments of other formulas."""
    g, args = given.gradient, given.args
    match name:
        case "add":
            return [g, g]
        case "subtract":
            return [g, ops.negative(g)]
        case "multiply":
            return [ops.multiply(g, args[1]), ops.multiply(g, args[0])]
        case "divide":
            below = args[1]
            whole = ops.multiply(g, ops.divide(given.result, below))
            return [ops.divide(g, below), ops.negative(whole)]
        case "relu":
            return [ops.where(ops.greater(args[0], 0.0), g, 0.0)]
        case "leaky_relu":
            below = ops.multiply(given.settings["negative_slope"], g)
            return [ops.where(ops.greater(args[0], 0.0), g, below)]
        case "matmul":
            return [_of_product(g, args[1])]
        case "sum" | "mean":
            return [_of_sum(name, given)]
        case "reshape" | "squeeze" | "expand_dims":
            return [ops.reshape(g, (-1, *args[0].shape[1:]))]
        case "get_item":
            return [_of_columns(g, args[0], given.settings["key"])]
        case "concatenate":
            return _of_joined(g, args, given.settings["axis"])
        case "convert_to_tensor" | "cast":
            return [g]
    raise NotLowerable(f"the gradient of `{name}` is no formula")


def _of_product(gradient: TensorLike, weights: TensorLike) -> TensorLike:
    if _are_rows(weights):
        raise NotLowerable("it takes the gradient through a product of rows")
    if len(weights.shape) != 2:
        raise NotLowerable("it takes the gradient through a product of more than a matrix")
    return ops.matmul(gradient, ops.transpose(weights))


def _of_sum(name: str, given: _Given) -> TensorLike:
    x, axis, g = given.args[0], given.settings.get("axis"), given.gradient
    rank = len(x.shape)
    inner = sorted(a % rank for a in ([axis] if isinstance(axis, int) else axis or ()))
    if not inner or 0 in inner:
        raise NotLowerable("it takes the gradient through a sum of rows")
    if not given.settings.get("keepdims"):
        for a in inner:
            g = ops.expand_dims(g, a)
    size = math.prod(x.shape[a] for a in inner)
    return ops.multiply(g, ops.full_like(x, 1.0 if name == "sum" else 1.0 / size))


def _of_columns(gradient: TensorLike, x: TensorLike, key: Operand) -> TensorLike:
    """By rows, from that of some of their columns: a product with ones where these were."""
    if len(x.shape) != 2:
        raise NotLowerable("it takes the gradient through parts of more than rows of numbers")
    width = x.shape[1]
    places: Array = np.arange(2 * width).reshape(2, width)[key]
    if len(places) != 2 or not np.array_equal(places[1], places[0] + width):
        raise NotLowerable("it takes the gradient through some of the rows")
    chosen = np.zeros((places[0].size, width), x.dtype)
    chosen[np.arange(places[0].size), places[0].reshape(-1)] = 1
    return ops.matmul(ops.reshape(gradient, (-1, places[0].size)), chosen)


def _of_joined(
    gradient: TensorLike, xs: Sequence[TensorLike], axis: int | None
) -> list[TensorLike]:
    """By each of the values that were joined, from that of the whole."""
    rank = len(xs[0].shape)
    if axis is None or axis % rank == 0:
        raise NotLowerable("it takes the gradient through rows that are joined")
    before = [slice(None)] * (axis % rank)
    ends = np.cumsum([x.shape[axis] for x in xs]).tolist()
    cuts = zip([0, *ends], ends, strict=False)
    return [ops.get_item(gradient, (*before, slice(start, end))) for start, end in cuts]
