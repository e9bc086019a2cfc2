"""The graph of a functional model as a config, and back: Keras' form of it."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

from densekit._core import tree
from densekit._core.errors import describe, message
from densekit._core.registry import Names
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Config, Tree
from densekit.layers import Layer
from densekit.models._given_graph import GivenGraph, given_graph
from densekit.ops import KerasTensor, Operation
from densekit.ops._symbolic import Node


def functional_config(model: Layer, given: GivenGraph) -> Config:
    """``{"name", "trainable", "layers", "input_layers", "output_layers"}``.

    A tensor is called ``[layer, n, i]``: output i of the n-th call of the layer inside this model.
    """
    own = {id(node) for node in given.nodes}
    layers = []
    for operation in given.operations:
        config = serialize_keras_object(operation)
        config["name"] = operation.name
        config["inbound_nodes"] = [
            _node_config(node, own)
            for node in operation._inbound_nodes
            if id(node) in own and not node.is_input
        ]
        layers.append(config)

    def place(tensor: KerasTensor) -> list[str | int]:
        name, index, position = _place(tensor, own)
        assert tensor._keras_history is not None
        # Keras counts the making of a functional model as its first call.
        first = given_graph(tensor._keras_history[0]) is not None
        return [name, index + first, position]

    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": layers,
        "input_layers": tree.map_structure(place, given.input_structure),
        "output_layers": tree.map_structure(place, given.output_structure),
    }


def _place(tensor: KerasTensor, own: set[int]) -> tuple[str, int, int]:
    assert tensor._keras_history is not None
    operation, index, position = tensor._keras_history
    before = sum(id(node) in own for node in operation._inbound_nodes[:index])
    return operation.name, before, position


def _node_config(node: Node, own: set[int]) -> Config:
    def describe_tensor(leaf: object) -> object:
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


Legacy: TypeAlias = list[Any]  # of Keras 2: ``[layer, n, i, kwargs]``
M = TypeVar("M", bound=Layer)


class _NotYet(Exception):
    """The call needs a tensor of `layer` that has not been revived so far."""

    def __init__(self, layer: str, index: object, position: object) -> None:
        super().__init__(f"no tensor {[layer, index, position]}")
        self.layer = layer


def revive_functional(
    cls: type[M], config: Config, custom_objects: dict[str, object] | None, model_base: type
) -> M:
    """Make the layers, repeat their calls as soon as their inputs are there, make the model.

    Args:
        model_base: what every model derives from.
    """
    extra = dict(config)
    layer_configs, inputs, outputs = (
        extra.pop(key) for key in ("layers", "input_layers", "output_layers")
    )
    name, trainable = extra.pop("name", None), extra.pop("trainable", None)
    layers: dict[str, Operation] = {}
    waiting: list[tuple[str, list[Config | list[Legacy]]]] = []
    for layer_config in layer_configs:
        # Configs of Keras 2 say no module: layers go by their names.
        known = None if "module" in layer_config else Names("keras.layers")
        if known is not None and layer_config["class_name"] not in known:
            known = None
        layer = deserialize_keras_object(layer_config, custom_objects, module_objects=known)
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
    of_keras2 = any(isinstance(call, list) for _, calls in waiting for call in calls)
    if of_keras2:
        for key in _counted_from_one(layers, waiting, outputs, model_base):
            start[key] -= 1
    graph = _Replay(layers, start)
    graph.run(waiting)
    if graph.left():
        raise ValueError(
            message(
                f"Functional {name!r}",
                "a graph without loops or missing layers",
                f"calls of {graph.left()[:10]} that cannot be made",
                "The file is damaged.",
            )
        )

    def tensors(places: Any) -> Tree[KerasTensor]:
        if isinstance(places, dict):
            return {key: tensors(value) for key, value in places.items()}
        if len(places) == 3 and isinstance(places[0], str):
            layer = layers.get(places[0])
            first = not of_keras2 and layer is not None and given_graph(layer) is not None
            return _find(layers, start, places[0], places[1] - first, places[2])
        found = [tensors(value) for value in places]
        return tuple(found) if isinstance(places, tuple) else found

    try:
        model = cls(inputs=tensors(inputs), outputs=tensors(outputs), name=name, **extra)
        model.mark_trainable(trainable is not False)
        return model
    except _NotYet as error:
        raise ValueError(
            message(
                f"Functional {name!r}",
                "inputs and outputs in its graph",
                str(error),
                "Save it again.",
            )
        ) from error


def _counted_from_one(
    layers: dict[str, Operation],
    calls: list[tuple[str, list[Config | list[Legacy]]]],
    outputs: object,
    model_base: type,
) -> set[str]:
    """Nested models whose calls a file of Keras 2 counts from 1: their making was call 0."""
    least: dict[str, int] = {}
    stack: list[object] = [outputs, *(of_layer for _, of_layer in calls)]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list):
            if len(item) >= 3 and isinstance(item[0], str) and isinstance(item[1], int):
                least[item[0]] = min(item[1], least.get(item[0], item[1]))
            stack.extend(item)
    return {
        key
        for key, index in least.items()
        if index >= 1 and isinstance(layers.get(key), model_base)
    }


class _Place:
    """Stands for a tensor that is not there yet: output `position` of call `index` of a layer."""

    def __init__(self, layer: str, index: int, position: int) -> None:
        self.layer, self.index, self.position = layer, index, position


class _Call:
    """The arguments of one call, read once, and the tensors among them found so far."""

    def __init__(self, layers: dict[str, Operation], call: Config | list[Legacy]) -> None:
        if isinstance(call, list):  # Keras 2: [[layer, n, i, kwargs], ...]
            places = [_Place(*item[:3]) for item in call]
            kwargs = call[0][3] if call and len(call[0]) > 3 else {}
            self.args: list[object] = [places[0] if len(places) == 1 else places]
            self.kwargs = {key: _legacy_place(layers, value) for key, value in kwargs.items()}
        else:
            structure = (list(_data(call["args"])), _data(call["kwargs"]))
            self.args, self.kwargs = tree.map_structure(_as_place, structure)
        leaves = tree.flatten((self.args, self.kwargs))
        self.missing = [leaf for leaf in reversed(leaves) if isinstance(leaf, _Place)]
        self.found: dict[int, KerasTensor] = {}

    def arguments(self) -> tuple[list[object], dict[str, object]]:
        """Arguments with tensors in the places, once none is missing."""
        args, kwargs = tree.map_structure(
            lambda leaf: self.found.get(id(leaf), leaf), (self.args, self.kwargs)
        )
        return args, kwargs


def _data(config: object) -> Any:
    return deserialize_keras_object(config)


def _as_place(leaf: object) -> object:
    place = getattr(leaf, "_pre_serialization_keras_history", None)
    return leaf if place is None else _Place(*place)


def _legacy_place(layers: dict[str, Operation], value: object) -> object:
    """Keras 2 wrote a tensor among the keyword arguments as ``[layer, n, i]``."""
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
        return _Place(*value) if value[0] in layers else value
    return value


class _Replay:
    """Makes the calls of a graph in an order in which their inputs are there.

    A call that needs a tensor of a layer waits for the next call of that layer, and goes on where
    it stopped: the work is linear in the size of the graph, whatever the order of the file.
    """

    def __init__(self, layers: dict[str, Operation], start: dict[str, int]) -> None:
        self._layers, self._start = layers, start
        self._calls: dict[str, list[_Call]] = {}  # of each layer, the last call first
        self._waiting: dict[str, list[str]] = {}  # layers that wait for a call of the key

    def run(self, calls: list[tuple[str, list[Config | list[Legacy]]]]) -> None:
        """Make all calls that can be made."""
        for key, of_layer in calls:
            self._calls[key] = [_Call(self._layers, call) for call in reversed(of_layer)]
        ready = [key for key, _ in reversed(calls)]
        while ready:
            key = ready.pop()
            while self._calls[key] and self._make(key):
                ready += reversed(self._waiting.pop(key, []))

    def left(self) -> list[str]:
        """Layers with calls that could not be made."""
        return [key for key, calls in self._calls.items() if calls]

    def _make(self, key: str) -> bool:
        call = self._calls[key][-1]
        while call.missing:
            place = call.missing[-1]
            try:
                tensor = _find(self._layers, self._start, place.layer, place.index, place.position)
            except _NotYet as error:
                self._waiting.setdefault(error.layer, []).append(key)
                return False
            call.found[id(place)] = tensor
            call.missing.pop()
        args, kwargs = call.arguments()
        operation = self._layers[key]
        if type(operation).__name__ == "GetItem" and len(args) == 2 and isinstance(args[1], list):
            args[1] = tuple(args[1])  # JSON has no tuples, and x[[0, 1]] is not x[0, 1]
        operation(*args, **kwargs)
        self._calls[key].pop()
        return True


def _find(
    layers: dict[str, Operation], start: dict[str, int], name: str, index: int, position: int
) -> KerasTensor:
    if name not in layers:
        raise ValueError(
            message("Functional", f"a layer {name!r} in its config", "none", "The file is damaged.")
        )
    nodes, index = layers[name]._inbound_nodes, start[name] + index
    if not start[name] <= index < len(nodes) or not 0 <= position < len(nodes[index].outputs):
        raise _NotYet(name, index - start[name], position)
    return nodes[index].outputs[position]
