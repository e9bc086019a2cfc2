"""Following the `call` of a user's layer with symbolic tensors, so that its ops enter the plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from densekit._core import tree
from densekit._core.masks import mask_of
from densekit._core.types import PartialShape, TensorLike
from densekit._core.variable import Variable
from densekit.engines.masked import Masks, checked, mask_outputs, previous_mask, stand_ins
from densekit.engines.plan_op import NotLowerable
from densekit.layers import Layer
from densekit.layers._base.call import CallContext, call_context
from densekit.layers._base.losses import sublayers
from densekit.ops import KerasTensor
from densekit.ops._row_draws import RowDraw
from densekit.ops._symbolic import Node, recorded_nodes
from densekit.ops._weight_values import Assignment, WeightScope

_LONGEST_REASON = 120


Ends: TypeAlias = tuple[list[Any], list[Any]]  # outputs of a call, and their masks


@dataclass(slots=True)
class Followed:
    """What a call did: a graph of the layer's own, from stand-ins of its inputs to its outputs."""

    inputs: list[KerasTensor]
    outputs: list[KerasTensor]
    nodes: list[Node]
    masks: list[KerasTensor | None]
    losses: list[KerasTensor]  # that it adds
    flags_yield: bool = False

    def needed_nodes(self) -> list[Node]:
        """The nodes without ops whose results lead nowhere, such as masks that nobody asks for.

        What draws stays: its generator moves on.
        """
        wanted = {id(t) for t in (*self.outputs, *self.masks, *self.losses)}
        kept = []
        for node in reversed(self.nodes):
            does_more = isinstance(node.operation, Layer | RowDraw | Assignment)
            if does_more or any(id(t) in wanted for t in node.outputs):
                wanted.update(id(t) for t in node.input_tensors)
                kept.append(node)
        return kept[::-1]


class _Watch(WeightScope):
    """Notices what a graph cannot express."""

    def __init__(self, what: str) -> None:
        super().__init__(collect_losses=True)
        self.what = what
        self.reason = ""

    def get_current_value(self, variable: Variable) -> TensorLike | None:
        value = super().get_current_value(variable)
        if value is None:
            self.reason = self.reason or f"{self.what} reads the value of {variable.path!r}"
        return value

    def refuse_update(self, variable: Variable) -> None:
        self.reason = self.reason or f"{self.what} assigns to {variable.path!r}"

    def add_loss(self, loss: object, owner: object = None) -> None:
        if not isinstance(loss, KerasTensor):
            self.reason = self.reason or f"{self.what} adds a loss that follows from no input"
        super().add_loss(loss, owner)


def follow_function(
    function: Callable[..., object], specs: Sequence[tuple[PartialShape, str]]
) -> Followed:
    """The graph of a function of tensors, given by shapes and dtypes, such as an activation.

    Raises:
        NotLowerable: if it looks at values, or does what is not recorded.
    """
    given = [KerasTensor(shape, dtype=dtype) for shape, dtype in specs]

    def call() -> Ends:
        outputs = tree.flatten(function(*given))
        return outputs, [None] * len(outputs)

    return follow_call(call, given, "it")


def follow_call(call: Callable[[], Ends], stand_ins: list[KerasTensor], what: str) -> Followed:
    """The graph of what `call` does with stand-ins: it gives outputs and their masks."""
    nodes: list[Node] = []
    recording = recorded_nodes.set(nodes)
    try:
        with _Watch(what) as watch:
            outputs, masks = call()
    except NotLowerable:
        raise
    except Exception as error:  # whatever it does, it cannot be done symbolically
        sentence = str(error).partition("\n")[0][:_LONGEST_REASON].rstrip(".")
        raise NotLowerable(
            f"{what} does not run on symbolic tensors ({type(error).__name__}: {sentence})"
        ) from None
    finally:
        recorded_nodes.reset(recording)
    if watch.reason:
        raise NotLowerable(watch.reason)
    if not all(isinstance(leaf, KerasTensor) for leaf in outputs):
        raise NotLowerable(f"{what} gives something that does not depend on its inputs")
    return Followed(stand_ins, outputs, nodes, checked(masks), watch.losses)


def follow(
    layer: Layer, node: Node, training: bool | None, masks: Masks, only_mask: bool = False
) -> Followed:
    """The graph of a call that has been recorded as one node, and of its `compute_mask`.

    Args:
        masks: of the node's inputs. They stand behind them among the inputs of the graph.
        only_mask: whether the call itself is left out.

    Raises:
        NotLowerable: if the call looks at values, or does what is not recorded.
    """
    given = stand_ins(node.input_tensors, masks)
    values = iter(given)
    args, kwargs = tree.map_structure(
        lambda leaf: next(values) if isinstance(leaf, KerasTensor) else leaf,
        (node.args, dict(node.kwargs)),
    )
    kwargs.pop("training", None)
    if layer._dk_call_info.has_training and training is not None:
        kwargs["training"] = training
    previous = previous_mask(args, kwargs)
    kwargs |= layer._dk_masks_wanted(
        dict(zip(layer._dk_call_info.names, args, strict=False)) | kwargs
    )
    first = args[0] if args else next(iter(kwargs.values()), None)
    before = [(inner, len(inner._inbound_nodes)) for inner in sublayers(layer)]
    token = call_context.set(CallContext(layer, None, True, training))
    try:

        def call() -> Ends:
            outputs = [] if only_mask else tree.flatten(layer.call(*args, **kwargs))
            of = [None] * len(node.outputs) if only_mask else outputs
            return outputs, mask_outputs(layer, first, of, previous)

        inputs = [*given, *(m for m in map(mask_of, given) if m is not None)]
        return follow_call(call, inputs, "its `compute_mask`" if only_mask else "its `call`")
    finally:
        call_context.reset(token)
        for inner, count in before:
            del inner._inbound_nodes[count:]
