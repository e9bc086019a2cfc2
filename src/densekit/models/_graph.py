"""The graph between symbolic inputs and outputs: finding it, ordering it, running it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from densekit._core import tree
from densekit._core.errors import message
from densekit.data._input_structure import in_structure
from densekit.layers import Layer
from densekit.ops import KerasTensor, Operation
from densekit.ops._symbolic import Node

Call = Callable[[Operation, tuple[object, ...], dict[str, object]], object]


class Graph:
    """What an engine needs of a model: its calls in an order in which they can run.

    `inputs` and `outputs` are the leaves of the structures, in their order. A layer that is called
    twice occurs in two nodes. The call of a nested model is one node, whose operation has a
    `_graph` of its own (None if its call cannot be followed). With `flags_yield` a `training` flag
    given to a call holds only while the model itself is told nothing, as in functional models.
    `losses` are what the call adds to the total. `in_training` has the calls of training where
    these are others, None where they are the same. `input_names` are those of a functional model.
    """

    def __init__(
        self,
        inputs: list[KerasTensor],
        outputs: list[KerasTensor],
        nodes: list[Node],
        input_structure: object,
        output_structure: object,
        flags_yield: bool = False,
        losses: Iterable[KerasTensor] = (),
        in_training: Graph | None = None,
        input_names: Sequence[str] | None = None,
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.nodes = nodes
        self.input_structure = input_structure
        self.output_structure = output_structure
        self.flags_yield = flags_yield
        self.losses = list(losses)
        self.in_training = in_training
        self._input_names = input_names

    def in_order(self, given: object) -> list[KerasTensor] | None:
        """The leaves of what a call is handed, in the order of `inputs`; None if it has others.

        Where inputs have names, as in a functional model, a dict is read by them. A `call` of a
        user was followed with one structure, and would read another in its own way.
        """
        own = self.input_structure
        if self._input_names is not None:
            given = in_structure(given, own, self._input_names, "a model", quiet=True)
        elif tree.map_structure(_nothing, given) != tree.map_structure(_nothing, own):
            return None
        leaves = tree.flatten(given)
        return leaves if len(leaves) == len(self.inputs) else None

    @property
    def layers(self) -> list[Layer]:
        """The layers that are called, in training too."""
        nodes = self.nodes if self.in_training is None else self.nodes + self.in_training.nodes
        called = [node.operation for node in nodes]
        return [operation for operation in called if isinstance(operation, Layer)]


def _nothing(leaf: object) -> None:
    return None


def history(tensor: KerasTensor) -> tuple[Node, int] | None:
    """The node that made `tensor` and which of its outputs it is, or None."""
    if tensor._keras_history is None:
        return None
    operation, index, position = tensor._keras_history
    return operation._inbound_nodes[index], position


def nodes_between(
    inputs: list[KerasTensor], outputs: list[KerasTensor], where: str
) -> tuple[list[Node], list[Operation]]:
    """Nodes on the ways from `inputs` to `outputs`, each after those it needs; their operations.

    Operations are in order of first need, depth first from the outputs, as Keras counts them.

    Raises:
        ValueError: if an output needs a tensor that does not follow from `inputs`.
    """
    given = {id(tensor) for tensor in inputs}
    finished: dict[int, Node] = {}
    met: dict[int, Operation] = {}
    for output in outputs:
        stack: list[tuple[Node, list[KerasTensor]]] = []
        _enter(output, given, finished, met, stack, where)
        while stack:  # no recursion: a model may be a thousand layers deep
            node, waiting = stack[-1]
            if waiting:
                _enter(waiting.pop(0), given, finished, met, stack, where)
            else:
                finished[id(node)] = node
                stack.pop()
    return list(finished.values()), list(met.values())


def _enter(
    tensor: KerasTensor,
    given: set[int],
    finished: dict[int, Node],
    met: dict[int, Operation],
    stack: list[tuple[Node, list[KerasTensor]]],
    where: str,
) -> None:
    source = history(tensor)
    own = id(tensor) in given
    if own and (source is None or not source[0].is_input):
        return
    if source is None or (source[0].is_input and not own):
        raise ValueError(
            message(
                where,
                "outputs that follow from `inputs`",
                f"{tensor!r}, which is not connected to `inputs`",
                "Add the missing `Input` to `inputs`.",
            )
        )
    node = source[0]
    if id(node) in finished:
        return
    met.setdefault(id(node.operation), node.operation)
    stack.append((node, list(node.input_tensors)))


def ordered_operations(
    inputs: list[KerasTensor], nodes: list[Node], operations: list[Operation]
) -> list[Operation]:
    """Operations as Keras lists them: the farther from the outputs the earlier, ties by first need.

    This is the order of `model.layers`, of weights and of the places in a file.
    """
    inside = {id(node) for node in nodes}
    node_depth: dict[int, int] = {}
    operation_depth: dict[int, int] = {}
    for node in reversed(nodes):
        own = max(node_depth.get(id(node), 0), operation_depth.get(id(node.operation), 0))
        node_depth[id(node)] = operation_depth[id(node.operation)] = own
        for parent in node.parent_nodes:
            if id(parent) in inside:
                node_depth[id(parent)] = max(own + 1, node_depth.get(id(parent), 0))
    rank = {id(operation): i for i, operation in enumerate(operations)}
    found = list(operations)
    for tensor in inputs:  # inputs that nothing uses are still inputs
        source = history(tensor)
        if source is not None and source[0].is_input and id(source[0].operation) not in rank:
            rank[id(source[0].operation)] = -1
            operation_depth[id(source[0].operation)] = 0
            found.append(source[0].operation)
    return sorted(found, key=lambda o: (-operation_depth[id(o)], rank[id(o)]))


def substitute(structure: object, mapping: Mapping[int, object]) -> Any:
    """`structure` with its symbolic tensors replaced by what `mapping` has for their id."""
    return tree.map_structure(
        lambda x: mapping[id(x)] if isinstance(x, KerasTensor) else x, structure
    )


def run(
    nodes: Iterable[Node],
    mapping: dict[int, object],
    call: Call,
) -> None:
    """Call `call(operation, args, kwargs)` for each node, keeping its outputs in `mapping`."""
    for node in nodes:
        if not node.input_tensors:
            continue
        args, kwargs = substitute((node.args, node.kwargs), mapping)
        results = call(node.operation, args, kwargs)
        for tensor, value in zip(node.outputs, tree.flatten(results), strict=True):
            mapping[id(tensor)] = value
