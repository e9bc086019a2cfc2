"""The graph of a functional model as a config, and back: Keras' form of it."""

from __future__ import annotations

from typing import Any

from densekit._core import tree
from densekit._core.errors import describe, message
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit.ops import KerasTensor, Operation
from densekit.ops._symbolic import Node


def functional_config(model: Any, functional: type) -> dict[str, Any]:
    """``{"name", "trainable", "layers", "input_layers", "output_layers"}``.

    A tensor is called ``[layer, n, i]``: output i of the n-th call of the layer inside this model.
    """
    own = {id(node) for node in model._nodes}
    layers = []
    for operation in model._operations:
        config = serialize_keras_object(operation)
        config["name"] = operation.name
        config["inbound_nodes"] = [
            _node_config(node, own)
            for node in operation._inbound_nodes
            if id(node) in own and not node.is_input
        ]
        layers.append(config)

    def place(tensor: KerasTensor) -> list[Any]:
        name, index, position = _place(tensor, own)
        assert tensor._keras_history is not None
        # Keras counts the making of a functional model as its first call.
        first = isinstance(tensor._keras_history[0], functional)
        return [name, index + first, position]

    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": layers,
        "input_layers": tree.map_structure(place, model._dk_input_structure),
        "output_layers": tree.map_structure(place, model._dk_output_structure),
    }


def _place(tensor: KerasTensor, own: set[int]) -> tuple[str, int, int]:
    assert tensor._keras_history is not None
    operation, index, position = tensor._keras_history
    before = sum(id(node) in own for node in operation._inbound_nodes[:index])
    return operation.name, before, position


def _node_config(node: Node, own: set[int]) -> dict[str, Any]:
    def describe_tensor(leaf: Any) -> Any:
        if not isinstance(leaf, KerasTensor):
            return leaf
        config = {
            "shape": leaf.shape,
            "dtype": leaf.dtype,
            "keras_history": list(_place(leaf, own)),
        }
        return {"class_name": "__keras_tensor__", "config": config}

    args, kwargs = tree.map_structure(describe_tensor, (node.args, node.kwargs))
    return {"args": serialize_keras_object(args), "kwargs": serialize_keras_object(kwargs)}


class _NotYet(Exception):
    """The call needs a tensor that has not been revived so far."""


def revive_functional(
    cls: type, config: dict[str, Any], custom_objects: Any, functional: type
) -> Any:
    """Make the layers, repeat their calls as soon as their inputs are there, make the model."""
    extra = dict(config)
    layer_configs, inputs, outputs = (
        extra.pop(key) for key in ("layers", "input_layers", "output_layers")
    )
    name, trainable = extra.pop("name", None), extra.pop("trainable", None)
    layers: dict[str, Any] = {}
    waiting: list[tuple[str, list[Any]]] = []
    for layer_config in layer_configs:
        layer = deserialize_keras_object(layer_config, custom_objects)
        if not isinstance(layer, Operation):
            raise ValueError(
                message(
                    f"Functional {name!r}",
                    "layers or ops in its config",
                    describe(layer),
                    "The file is damaged.",
                )
            )
        layers[layer_config["name"]] = layer
        calls = list(layer_config["inbound_nodes"])
        if calls:
            waiting.append((layer_config["name"], calls))
    # Calls made while a layer was revived (a nested model on its own inputs) are not this model's.
    start = {key: len(layer._inbound_nodes) for key, layer in layers.items()}
    for key, layer in layers.items():
        if layer._inbound_nodes and layer._inbound_nodes[0].is_input:
            start[key] = 0
    while waiting:
        left = [(key, _replay(layers, start, key, calls)) for key, calls in waiting]
        if [len(calls) for _, calls in left] == [len(calls) for _, calls in waiting]:
            raise ValueError(
                message(
                    f"Functional {name!r}",
                    "a graph without loops or missing layers",
                    f"calls of {[key for key, _ in waiting]} that cannot be made",
                    "The file is damaged.",
                )
            )
        waiting = [(key, calls) for key, calls in left if calls]

    def tensors(places: Any) -> Any:
        if isinstance(places, dict):
            return {key: tensors(value) for key, value in places.items()}
        if len(places) == 3 and isinstance(places[0], str):
            first = isinstance(layers.get(places[0]), functional)
            return _find(layers, start, places[0], places[1] - first, places[2])
        return [tensors(value) for value in places]

    try:
        model = cls(inputs=tensors(inputs), outputs=tensors(outputs), name=name, **extra)
        model.mark_trainable(trainable is not False)
        return model
    except _NotYet as error:
        raise ValueError(
            message(f"Functional {name!r}", "inputs and outputs in its graph", str(error), "")
        ) from error


def _replay(layers: dict[str, Any], start: dict[str, int], key: str, calls: list[Any]) -> list[Any]:
    """Make the calls that can be made, in order; return those that must wait."""
    for i, call in enumerate(calls):
        try:
            args, kwargs = _arguments(layers, start, call)
        except _NotYet:
            return calls[i:]
        operation = layers[key]
        if type(operation).__name__ == "GetItem" and len(args) == 2 and isinstance(args[1], list):
            args[1] = tuple(args[1])  # JSON has no tuples, and x[[0, 1]] is not x[0, 1]
        operation(*args, **kwargs)
    return []


def _arguments(
    layers: dict[str, Any], start: dict[str, int], call: Any
) -> tuple[list[Any], dict[str, Any]]:
    if isinstance(call, list):  # Keras 2: [[layer, n, i, kwargs], ...]
        found = [_find(layers, start, *item[:3]) for item in call]
        kwargs = call[0][3] if call and len(call[0]) > 3 else {}
        return [found[0] if len(found) == 1 else found], _legacy_kwargs(layers, start, kwargs)
    args = deserialize_keras_object(call["args"])
    kwargs = deserialize_keras_object(call["kwargs"])

    def locate(leaf: Any) -> Any:
        place = getattr(leaf, "_pre_serialization_keras_history", None)
        return leaf if place is None else _find(layers, start, *place)

    located = tree.map_structure(locate, (list(args), kwargs))
    return located[0], located[1]


def _legacy_kwargs(
    layers: dict[str, Any], start: dict[str, int], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Keras 2 wrote a tensor among the keyword arguments as ``[layer, n, i]``."""

    def is_place(value: Any) -> bool:
        return (
            isinstance(value, list)
            and len(value) == 3
            and isinstance(value[0], str)
            and value[0] in layers
        )

    return {k: _find(layers, start, *v) if is_place(v) else v for k, v in kwargs.items()}


def _find(
    layers: dict[str, Any], start: dict[str, int], name: Any, index: Any, position: Any
) -> KerasTensor:
    if name not in layers:
        raise ValueError(
            message("Functional", f"a layer {name!r} in its config", "none", "The file is damaged.")
        )
    nodes = layers[name]._inbound_nodes[start[name] :]
    if not 0 <= index < len(nodes) or not 0 <= position < len(nodes[index].outputs):
        raise _NotYet(f"[{name!r}, {index}, {position}]")
    tensor: KerasTensor = nodes[index].outputs[position]
    return tensor
