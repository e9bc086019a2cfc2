"""Following the `call` of a subclassed model with symbolic tensors."""

from __future__ import annotations

from weakref import WeakSet

import numpy as np

from densekit._core import tree
from densekit._core.errors import message
from densekit._core.frames import warn
from densekit._core.registry import public_name
from densekit._core.scope import StatelessScope
from densekit._core.types import PartialShape, TensorLike
from densekit._core.variable import Variable
from densekit.layers import Layer
from densekit.layers._base.call import CallContext, call_context
from densekit.layers._base.losses import sublayers
from densekit.models._graph import Graph, nodes_between
from densekit.models._reads import noting_reads
from densekit.ops import KerasTensor
from densekit.ops._row_draws import RowDraw
from densekit.ops._symbolic import FunctionOperation, Node, recorded_nodes
from densekit.ops._weight_values import WeightScope, WeightValue


class _Watch(WeightScope):
    """Notices what a graph cannot express: values read, values assigned."""

    def __init__(self) -> None:
        super().__init__(collect_losses=True)
        self.reason = ""

    def get_current_value(self, variable: Variable) -> TensorLike | None:
        value = super().get_current_value(variable)
        if value is None:  # what is computed from the value would be a constant of the graph
            self.reason = self.reason or f"it reads the value of {variable.path!r}"
        return value

    def add_update(self, update: tuple[Variable, object]) -> None:
        self.reason = self.reason or f"it assigns to {update[0].path!r}"
        StatelessScope.add_update(self, update)

    def add_loss(self, loss: object, owner: object = None) -> None:
        if not isinstance(loss, KerasTensor):
            self.reason = self.reason or "it adds a loss that follows from no input"
        super().add_loss(loss, owner)


def trace(model: Layer, inputs: object) -> Graph | None:
    """The graph of ``model.call(inputs)``, or None if it has none.

    `call` is followed for inference and for training. If it looks at values, or gives other shapes
    in training, it has no graph and must be run as it is. Which attributes it reads goes to the
    model's tracker.
    """
    reads: set[str] = set()
    model._tracker.reads = None
    inference = _follow(model, inputs, False, reads)
    if inference is None:
        return None
    training = _follow(model, inputs, True, reads)
    if training is None:
        return None
    if not _same_calls(inference, training):
        if _specs(inference) != _specs(training):
            _tell(model, "it gives other shapes in training")
            return None
        inference.in_training = training
    if "__dict__" not in reads:
        model._tracker.reads = frozenset(reads)
    return inference


def _follow(model: Layer, inputs: object, training: bool, reads: set[str]) -> Graph | None:
    tensors = tree.map_structure(lambda x: KerasTensor(x.shape, dtype=x.dtype), inputs)
    before = [(layer, len(layer._inbound_nodes)) for layer in sublayers(model)]
    kwargs = {"training": training} if model._dk_call_info.has_training else {}
    token = call_context.set(CallContext(model, None, True, training))
    recorded: list[Node] = []
    recording = recorded_nodes.set(recorded)
    followed, watch = False, _Watch()
    try:
        with watch, noting_reads(model, reads):
            outputs = model.call(tensors, **kwargs)
        flat = tree.flatten(outputs)
        if not watch.reason and not all(isinstance(leaf, KerasTensor) for leaf in flat):
            watch.reason = "it gives something that does not depend on its inputs"
        if watch.reason:
            _tell(model, watch.reason)
            return None
        given = tree.flatten(tensors)
        last = [*flat, *watch.losses, *_lasting(given, recorded)]
        nodes, _ = nodes_between(given, last, model.name)
        followed = True
    except Exception as error:  # whatever it does, it cannot be done symbolically
        sentence = str(error).partition("\n")[0].rstrip(".")
        sentence = (
            sentence if len(sentence) <= _LONGEST_REASON else f"{sentence[:_LONGEST_REASON]} ..."
        )
        warns = bool(sentence) and getattr(model, "_dk_has_call", True)
        if watch.read:  # as a tensor of the graph, which has no numbers to look at
            _tell(model, f"it reads the value of {watch.read!r}", warns)
        else:
            _tell(model, f"{type(error).__name__}: {sentence}", warns)
        return None
    finally:
        call_context.reset(token)
        recorded_nodes.reset(recording)
        for layer, count in before:
            if count or not followed:  # those of a first trace stay: a summary shows their shapes
                del layer._inbound_nodes[count:]
    return Graph(tree.flatten(tensors), flat, nodes, tensors, outputs, losses=watch.losses)


def _tell(model: Layer, reason: str, warns: bool = True) -> None:
    """Say once for a class why its models run as a whole in Python; `explain_plan` says it, too."""
    model.__dict__["_dk_unfollowed"] = reason
    kind = type(model)
    if kind in _warned_of or not warns:
        return
    _warned_of.add(kind)
    warn(
        message(
            f"{kind.__name__} {model.name!r}",
            "a `call` that can be followed with symbolic tensors, to run natively",
            f"one where {reason}" if reason.startswith("it ") else reason,
            "It runs as it is, in Python; write it on `keras.ops` to make it faster.",
        )
    )


_warned_of: WeakSet[type] = WeakSet()
_LONGEST_REASON = 200


def _lasting(inputs: list[KerasTensor], nodes: list[Node]) -> list[KerasTensor]:
    """Outputs of calls whose effect lasts wherever they lead: losses, metrics, state."""
    reached = {id(tensor) for tensor in inputs}
    found: list[KerasTensor] = []
    for node in nodes:
        if all(id(tensor) in reached for tensor in node.input_tensors):
            reached.update(id(tensor) for tensor in node.outputs)
            if has_effects(node.operation):
                found.extend(node.outputs)
    return found


def has_effects(operation: object) -> bool:
    """Whether a call of it may add to the loss, or write a metric or state."""
    if not isinstance(operation, Layer):
        return False
    layers = operation._dk_flatten_layers()
    if any(layer.activity_regularizer is not None or _has_state(layer) for layer in layers):
        return True
    return not all(_is_known(layer) for layer in layers)


def _has_state(layer: Layer) -> bool:
    tracker = layer._tracker
    return bool(tracker.seed_generators or tracker.non_trainable_variables or tracker.metrics)


def _is_known(layer: object) -> bool:
    """Whether what the `call` of a layer does follows from its parts: no code of users."""
    graph = getattr(layer, "_dk_graph", None)
    return public_name(type(layer)) is not None if graph is None else graph() is not None


def _specs(graph: Graph) -> list[tuple[PartialShape, str]]:
    return [(tuple(tensor.shape), tensor.dtype) for tensor in graph.outputs]


def _same_calls(inference: Graph, training: Graph) -> bool:
    """Whether two graphs are the same calls; a passed-on `training` flag is then taken out."""
    if len(inference.nodes) != len(training.nodes):
        return False
    names: list[dict[int, int]] = [
        {id(tensor): i for i, tensor in enumerate(graph.inputs)} for graph in (inference, training)
    ]
    for a, b in zip(inference.nodes, training.nodes, strict=True):
        if not _same_operation(a.operation, b.operation):
            return False
        if a.kwargs.get("training") is False and b.kwargs.get("training") is True:
            del a.kwargs["training"], b.kwargs["training"]
        one, two = tree.flatten((a.args, a.kwargs)), tree.flatten((b.args, b.kwargs))
        if list(a.kwargs) != list(b.kwargs) or len(one) != len(two):
            return False
        if not all(_same_value(x, y, *names) for x, y in zip(one, two, strict=True)):
            return False
        _number(a, names[0])
        _number(b, names[1])
    ends = [[*inference.outputs, *inference.losses], [*training.outputs, *training.losses]]
    numbered = [[known[id(t)] for t in end] for known, end in zip(names, ends, strict=True)]
    return numbered[0] == numbered[1] and len(inference.losses) == len(training.losses)


def _number(node: Node, names: dict[int, int]) -> None:
    for tensor in node.outputs:
        names[id(tensor)] = len(names)


def _same_operation(a: object, b: object) -> bool:
    if isinstance(a, FunctionOperation) and type(a) is type(b):
        return str(a.settings) == str(b.settings)
    if isinstance(a, WeightValue) and isinstance(b, WeightValue):
        return a.variable is b.variable
    if isinstance(a, RowDraw) and isinstance(b, RowDraw) and type(a) is type(b):
        return a.says() == b.says()
    return a is b


def _same_value(x: object, y: object, names: dict[int, int], other_names: dict[int, int]) -> bool:
    if isinstance(x, KerasTensor) and isinstance(y, KerasTensor):
        return names[id(x)] == other_names[id(y)]
    if x is y:
        return True
    if type(x) is not type(y) or isinstance(x, Variable):
        return False
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
        return x.shape == y.shape and x.dtype == y.dtype and bool(np.array_equal(x, y))
    try:
        return bool(x == y)
    except Exception:  # values that cannot be compared may differ
        return False
