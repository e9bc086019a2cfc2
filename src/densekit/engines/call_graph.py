"""What an engine is handed of a model: its calls. `models` has the graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from densekit.layers import Layer
from densekit.ops import KerasTensor
from densekit.ops._symbolic import Node, Operation


class Calls(Protocol):
    """Calls in an order in which they can run."""

    @property
    def nodes(self) -> Sequence[Node]:
        """The calls."""

    @property
    def flags_yield(self) -> bool:
        """Whether `training` flags hold only while the model itself is told nothing."""


class CallGraph(Calls, Protocol):
    """The calls inside a model, between symbolic tensors."""

    @property
    def inputs(self) -> Sequence[KerasTensor]:
        """Leaves of the inputs."""

    @property
    def outputs(self) -> Sequence[KerasTensor]:
        """Leaves of the outputs."""

    @property
    def in_training(self) -> CallGraph | None:
        """The calls of training, where these are others."""

    def in_order(self, given: object) -> Sequence[KerasTensor] | None:
        """The leaves of what a call is handed, in the order of `inputs`; None if it has others."""

    @property
    def losses(self) -> Sequence[KerasTensor]:
        """What the calls add to the loss."""


def graph_of(operation: Operation) -> CallGraph | None:
    """The graph of a model inside the model, or None."""
    if not isinstance(operation, Layer):
        return None
    method: Callable[[], CallGraph | None] | None = getattr(operation, "_dk_graph", None)
    return method() if callable(method) else None


def order_of(graph: CallGraph, node: Node) -> list[int] | None:
    """Which of the tensors of a call are the inputs of a graph; None if others are among them."""
    tensors = node.input_tensors
    if len(graph.inputs) != len(tensors):
        return None
    leaves = graph.in_order(next(iter((*node.args, *node.kwargs.values()))))
    places = {id(tensor): i for i, tensor in enumerate(tensors)}
    if leaves is None or any(id(leaf) not in places for leaf in leaves):
        return None
    return [places[id(leaf)] for leaf in leaves]
