"""Following the `call` of a user's layer with symbolic tensors, so that its ops enter the plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from densekit._core import tree
from densekit._core.scope import StatelessScope
from densekit.engines.steps import NotLowerable
from densekit.layers import Layer
from densekit.layers._base.call import CallContext, call_context
from densekit.layers._base.losses import sublayers
from densekit.ops import KerasTensor
from densekit.ops._symbolic import Node, recorded_nodes

_LONGEST_REASON = 120


@dataclass(slots=True)
class Followed:
    """What a call did: a graph of the layer's own, from stand-ins of its inputs to its outputs."""

    inputs: list[KerasTensor]
    outputs: list[KerasTensor]
    nodes: list[Node]
    flags_yield: bool = False


class _Watch(StatelessScope):
    """Notices what a graph cannot express."""

    def __init__(self) -> None:
        super().__init__(collect_losses=True)
        self.reason = ""

    def get_current_value(self, variable: Any) -> Any | None:
        self.reason = self.reason or f"its `call` reads the value of {variable.path!r}"
        return super().get_current_value(variable)

    def add_update(self, update: tuple[Any, Any]) -> None:
        self.reason = self.reason or f"its `call` assigns to {update[0].path!r}"
        super().add_update(update)

    def add_loss(self, loss: Any, owner: Any = None) -> None:
        self.reason = self.reason or "its `call` adds a loss"
        super().add_loss(loss, owner)


def follow(layer: Layer, node: Node, training: bool | None) -> Followed:
    """The graph of a call that has been recorded as one node.

    Raises:
        NotLowerable: if the call looks at values, or does what is not recorded.
    """
    stand_ins = [KerasTensor(t.shape, dtype=t.dtype) for t in node.input_tensors]
    values = iter(stand_ins)
    args, kwargs = tree.map_structure(
        lambda leaf: next(values) if isinstance(leaf, KerasTensor) else leaf,
        (node.args, dict(node.kwargs)),
    )
    kwargs.pop("training", None)
    if layer._dk_call_info.has_training and training is not None:
        kwargs["training"] = training
    before = [(inner, len(inner._inbound_nodes)) for inner in sublayers(layer)]
    nodes: list[Node] = []
    token = call_context.set(CallContext(layer, None, True, training))
    recording = recorded_nodes.set(nodes)
    try:
        with _Watch() as watch:
            outputs = tree.flatten(layer.call(*args, **kwargs))
    except Exception as error:  # whatever it does, it cannot be done symbolically
        sentence = str(error).partition("\n")[0][:_LONGEST_REASON].rstrip(".")
        raise NotLowerable(
            f"its `call` does not run on symbolic tensors ({type(error).__name__}: {sentence})"
        ) from None
    finally:
        call_context.reset(token)
        recorded_nodes.reset(recording)
        for inner, count in before:
            del inner._inbound_nodes[count:]
    if watch.reason:
        raise NotLowerable(watch.reason)
    if not all(isinstance(leaf, KerasTensor) for leaf in outputs):
        raise NotLowerable("its `call` gives something that does not depend on its inputs")
    return Followed(stand_ins, outputs, nodes)
