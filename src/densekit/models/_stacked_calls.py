"""Symbolic calls of layers one after the other, which a `Sequential` is made of."""

from __future__ import annotations

import inspect
from functools import reduce

from densekit._core.errors import message
from densekit.layers import InputLayer, Layer
from densekit.ops import KerasTensor
from densekit.ops._shape_inference import compute_output_spec
from densekit.ops._symbolic import Node


def called(layer: Layer, x: KerasTensor) -> KerasTensor:
    """The output of `layer`; a layer that needs more than one input is refused by name."""
    try:
        output: KerasTensor = layer(x)
    except TypeError as error:
        parameters = inspect.signature(layer.call).parameters.values()
        given = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        required = [p.name for p in given if p.default is p.empty]
        if given and len(required) < 2:
            raise
        raise ValueError(
            message(
                f"Sequential layer {type(layer).__name__} {layer.name!r}",
                "a `call` with one required argument",
                f"{required or 'none'}",
                "Use a functional model for layers of several inputs.",
            )
        ) from error
    return output


def called_again(
    layers: list[Layer], known: list[KerasTensor], first: InputLayer, shape: tuple[int, ...]
) -> list[KerasTensor] | None:
    """The outputs of an input layer of open sizes and of `layers`, if they take such inputs.

    Args:
        layers: what was called one after the other.
        known: the outputs so far, that of the input layer included.
        first: the new input layer.
        shape: of inputs that the layers are to take now.
    """
    before = [len(layer._inbound_nodes) for layer in layers]
    try:
        # Layers may say a shape without looking at their weights: these rows are computed.
        rows = KerasTensor((2, *shape[1:]), first.dtype)
        compute_output_spec(lambda x: reduce(lambda y, layer: layer(y), layers, x), rows)
        tensors = [first.output]
        for layer in layers:
            tensors.append(called(layer, tensors[-1]))
    except BaseException as error:
        forget_calls(layers, before)
        if isinstance(error, ValueError):
            return None
        raise
    for layer, old in zip(layers, known[1:], strict=True):
        if layer._inbound_nodes[0].outputs == [old]:
            _put_first(layer._inbound_nodes.pop(), layer._inbound_nodes)
    return tensors


def _put_first(node: Node, nodes: list[Node]) -> None:
    """Make `node` the first of an operation's calls, which `layer.output` means."""
    nodes.insert(0, node)
    for index, one in enumerate(nodes):
        for position, tensor in enumerate(one.outputs):
            tensor._keras_history = (one.operation, index, position)


def forget_calls(layers: list[Layer], counts: list[int]) -> None:
    """Leave of the calls of each layer only the first, as many as `counts` says."""
    for layer, count in zip(layers, counts, strict=True):
        del layer._inbound_nodes[count:]
