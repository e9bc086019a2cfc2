"""One call that tapes recorded, and how its gradients are found: natively, or by the definition.

Where a gradient is taken inside another tape that still records, the definition is differentiated
instead, so that the gradient can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from densekit._core import tree
from densekit._core.boxes import BOXES
from densekit._core.scope import StatelessScope, VariableScope, without_scope
from densekit._core.types import Array, TensorLike
from densekit._core.variable import Variable
from densekit.layers import Layer
from densekit.ops._deferred import Formula
from densekit.ops._formula_steps import Formulas
from densekit.ops._gradient import Node, Parts, backward, new_node, new_trace

if TYPE_CHECKING:
    from densekit._core.tapes import Recorded, Recorder

Pack: TypeAlias = Callable[[Sequence[TensorLike]], object]


class Box(Protocol):
    """What `autograd` differentiates by: a value in a trace, and the node that made it."""

    _value: TensorLike
    _trace: int
    _node: Node


class Tape(Protocol):
    """What is asked of the tapes around a call."""

    outer: VariableScope | None

    @property
    def trace(self) -> int:
        """Number of its trace."""

    @property
    def records(self) -> bool:
        """Whether it records now."""

    @property
    def watches_all(self) -> bool:
        """Whether it watches whatever is trained."""

    def get_current_value(self, variable: Variable) -> TensorLike | None:
        """What a variable reads as."""

    def watches(self, variable: Variable) -> bool:
        """Whether it records what a variable does."""

    def watches_frozen(self, layer: Layer) -> bool:
        """Whether it watches a variable of a layer that is not trained."""

    def root(self, variable: Variable) -> Node:
        """The node of a variable."""

    def formula(self, formulas: Formulas) -> Formula:
        """What runs on the values that models gave."""


class Call:
    """One recorded call, for as many tapes as recorded it."""

    __slots__ = (*("engine", "layer", "pack", "recorded", "seeds", "training", "variables"),)

    def __init__(self, layer: Layer, engine: Recorder, pack: Pack, training: bool) -> None:
        self.layer = layer
        self.engine = engine
        self.pack = pack  # flat inputs -> the argument of the call
        self.training = training
        self.variables = engine.variables
        self.recorded: Recorded | None = None
        self.seeds = engine.seed_states()

    def gradients(self, d_outputs: Sequence[Array | None]) -> list[TensorLike]:
        """Of variables and then of inputs, natively."""
        assert self.recorded is not None
        parameters, inputs = self.recorded.gradients(d_outputs)
        pairs = zip(inputs, self.engine.input_shapes, strict=False)
        return [*parameters, *(g if len(s) == 1 else g.reshape(-1, *s) for g, s in pairs)]

    def by_definition(
        self,
        d_outputs: Sequence[TensorLike | None],
        inputs: Sequence[TensorLike],
        values: Sequence[TensorLike],
    ) -> list[TensorLike | None]:
        """The same, computed so that outer tapes record it: `inputs` and `values` are theirs."""
        from autograd.tracer import new_box  # optional and slow

        with without_scope(), new_trace() as trace:
            roots = [new_node() for _ in (*values, *inputs)]
            boxes = [new_box(v, trace, r) for v, r in zip((*values, *inputs), roots, strict=True)]
            own, given = boxes[: len(values)], boxes[len(values) :]
            substitutes = [*zip(self.variables, own, strict=True), *self.seeds]
            with StatelessScope(substitutes):
                outputs = Layer.__call__(self.layer, self.pack(given), training=self.training)
        seeds = [
            (y._node, g)
            for y, g in zip(tree.flatten(outputs), d_outputs, strict=True)
            if g is not None and type(y) in BOXES and y._trace == trace
        ]
        found = backward(seeds)
        return [found.get(root) for root in roots]


class Backward:
    """How the record of one tape goes back through a call."""

    __slots__ = ("_call", "_inputs", "_outer", "_values", "_wanted")

    def __init__(
        self, call: Call, wanted: list[int], inputs: Sequence[TensorLike], outer: Sequence[Tape]
    ) -> None:
        self._call = call
        self._wanted = wanted  # which of the gradients go to the parents
        self._inputs = inputs  # as the tapes outside see them
        self._outer = outer  # these tapes
        self._values: list[TensorLike] | None = None
        if outer:
            scope = outer[0]
            self._values = [_value_in(scope, v) for v in call.variables]

    def __call__(self, gradient: Any) -> list[TensorLike | None]:
        """Gradients of the parents, from that of the output or `Parts` of several."""
        d_outputs = list(gradient) if type(gradient) is Parts else [gradient]
        again = any(tape.records for tape in self._outer)
        if again or any(type(g) in BOXES for g in d_outputs):
            values = self._values
            if values is None:
                values = [np.array(v.array) for v in self._call.variables]
            found: Sequence[TensorLike | None] = self._call.by_definition(
                d_outputs, self._inputs, values
            )
        else:
            found = self._call.gradients(d_outputs)
        return [found[i] for i in self._wanted]


def hand_on(index: int, count: int) -> Callable[[TensorLike], tuple[Parts]]:
    """The way back from one of several outputs to their call."""

    def vjp(gradient: TensorLike) -> tuple[Parts]:
        parts = Parts([None] * count)
        parts[index] = gradient
        return (parts,)

    return vjp


def _value_in(scope: Tape, variable: Variable) -> TensorLike:
    value = scope.get_current_value(variable)
    return np.array(variable.array) if value is None else value


class Output:
    """Where the gradient of an output of a call goes."""

    __slots__ = ("_node",)

    def __init__(self, node: Node) -> None:
        self._node = node

    def node(self) -> Node:
        """The node."""
        return self._node


class BareCall(Call):
    """A call of a model on an array, all of whose variables are watched: its only output."""

    __slots__ = ("_inputs", "_node", "_tape")

    def __init__(
        self,
        model: Layer,
        engine: Recorder,
        pack: Pack,
        training: bool,
        draws: bool,
        tape: Tape,
        x: Array,
    ) -> None:
        self.layer, self.engine, self.pack = model, engine, pack
        self.training, self.variables = training, engine.variables
        self.recorded = None
        self.seeds = engine.seed_states() if draws else _NOTHING
        self._tape, self._inputs = tape, (x,)
        self._node: Node | None = None

    def node(self) -> Node:
        """The node where its gradient goes, made when it is asked for."""
        if self._node is None:
            parents = [self._tape.root(v) for v in self.variables]
            backward = Backward(self, list(range(len(parents))), list(self._inputs), ())
            self._node = new_node(parents, backward)
        return self._node


_NOTHING: list[tuple[Variable, Array]] = []
