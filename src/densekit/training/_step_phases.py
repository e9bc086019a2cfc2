"""The calls of a followed step, shared out: what each update needs, and what Python makes.

Each update is a plan of its own. What one computes and another one needs is handed on as rows. Rows
of several batches that are joined, and targets that are made of the data, are made by Python before
the plan that reads them, as is what is called after the last update.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from densekit._core import tree
from densekit._core.plan import NotLowerable
from densekit._core.variable import Variable
from densekit.layers import Layer
from densekit.ops import KerasTensor
from densekit.ops._row_draws import RowDraw
from densekit.ops._symbolic import Node
from densekit.ops._weight_values import WeightValue
from densekit.training._row_gradient import name_of_call
from densekit.training._step_calls import StepCalls
from densekit.training._step_values import Made, Update, ends_of


class Phase:
    """What leads to one update.

    Args:
        update: the update.
        batches: how many are joined in its rows.
    """

    def __init__(self, update: Update, batches: int) -> None:
        self.update, self.batches = update, batches
        self.nodes: dict[int, Node] = {}  # by their place in the step
        self.inputs: list[KerasTensor] = []
        self.exports: list[KerasTensor] = []  # what others, or metrics, look at
        self.leads: dict[int, bool] = {}  # whether a gradient goes through a call, by its id


class Phases:
    """Shares out the calls of a step.

    Args:
        calls: what it was found to do.
        nodes: the calls, in order.
        asked: rows that metrics look at.

    Raises:
        NotLowerable: if an update needs what another one has made old.
    """

    def __init__(
        self, calls: StepCalls, nodes: Sequence[Node], asked: Sequence[KerasTensor]
    ) -> None:
        self._calls, self._nodes = calls, nodes
        self._steps = calls.effects.steps
        self._bounds = [step.nodes for step in self._steps]
        self._maker = {id(t): i for i, node in enumerate(nodes) for t in node.outputs}
        self.phases = [self._phase(step) for step in self._steps]
        self._by_python: dict[int, Made] = {}  # by the id of their first result
        ends = [end for step in self._steps for end in ends_of(step.loss)]
        self._give_python(ends_made for end in ends if (ends_made := end.made) is not None)
        self._give_python(self._effects_of_others())
        for tensor in (*asked, *(end.rows for end in ends)):
            self._look_for_joins(tensor)
        self._give_python(self._drawn_beside())
        for tensor in asked:
            self._export(tensor)
        for number in reversed(range(len(self.phases))):
            self._gather(number)

    # Who makes what

    def by_python(self, after: int) -> list[Made]:
        """What Python makes after so many updates, in order."""
        found = [m for m in self._by_python.values() if self._range(m.results[0]) == after]
        order = {key: i for i, key in enumerate(self._calls.how)}
        return sorted(found, key=lambda made: order[id(made.results[0])])

    def node_of(self, tensor: KerasTensor) -> Node | None:
        """The node that made a tensor; None: it is none of the graph."""
        place = self._maker.get(id(tensor))
        return None if place is None else self._nodes[place]

    def _phase(self, step: Update) -> Phase:
        found = {self._calls.batches_of(end.rows) for end in ends_of(step.loss)}
        if len(found) != 1:
            raise NotLowerable("its loss is one of several numbers of rows")
        return Phase(step, found.pop())

    def _made(self, tensor: KerasTensor) -> Made | None:
        return self._calls.how.get(id(tensor))

    def _range(self, tensor: KerasTensor) -> int:
        """After how many updates a tensor was made."""
        place = self._maker.get(id(tensor))
        if place is not None:
            return bisect_right(self._bounds, place)
        made = self._made(tensor)  # rows that were joined, which is no node
        parts = tree.flatten(list(made.args)) if made is not None else []
        return max((self._range(x) for x in parts if isinstance(x, KerasTensor)), default=0)

    def _is_by_python(self, tensor: KerasTensor) -> bool:
        made = self._made(tensor)
        return made is not None and id(made.results[0]) in self._by_python

    def _is_joined(self, tensor: KerasTensor) -> bool:
        return id(tensor) not in self._maker and not self._calls.is_data(tensor)

    def _effects_of_others(self) -> Iterable[KerasTensor]:
        """What is called after the last update, or for other numbers of rows than those trained."""
        for i, node in enumerate(self._nodes):
            after = bisect_right(self._bounds, i)
            if not isinstance(node.operation, Layer | RowDraw):
                continue
            batches = self._calls.batches_of(node.outputs[0])
            if after == len(self.phases) or batches != self.phases[after].batches:
                yield node.outputs[0]

    def _drawn_beside(self) -> list[KerasTensor]:
        """All that is drawn before an update of which Python draws some: draws are in order."""
        draws = [node.outputs[0] for node in self._nodes if isinstance(node.operation, RowDraw)]
        drawn = {self._range(x) for x in draws if self._is_by_python(x)}
        return [x for x in draws if self._range(x) in drawn]

    def _look_for_joins(self, tensor: KerasTensor, seen: set[int] | None = None) -> None:
        seen = set() if seen is None else seen
        if id(tensor) in seen or self._calls.is_data(tensor):
            return
        seen.add(id(tensor))
        made = self._made(tensor)
        if self._is_joined(tensor):
            self._give_python([tensor])
            return
        node = self._nodes[self._maker[id(tensor)]]
        inputs = node.input_tensors if made is None else _tensors_of(made)
        for x in inputs:
            if id(x) in self._maker or self._made(x) is not None:
                self._look_for_joins(x, seen)

    def _give_python(self, tensors: Iterable[KerasTensor]) -> None:
        """Python makes tensors, and what they are made of after the same updates."""
        for tensor in tensors:
            if self._calls.is_data(tensor) or self._is_by_python(tensor):
                continue
            made = self._made(tensor)
            if made is None:
                raise NotLowerable("it joins, or compares with, what Python cannot make again")
            after = self._range(tensor)
            self._by_python[id(made.results[0])] = made
            if after < len(self.phases) and self._is_trained(made, after):
                raise NotLowerable("it takes a gradient through rows that it joins")
            for x in _tensors_of(made):
                before = self._range(x)
                if self._calls.is_data(x):
                    continue
                if before == after or self._calls.batches_of(x) != self.phases[before].batches:
                    self._give_python([x])
                else:
                    self._export(x)

    def _is_trained(self, made: Made, number: int) -> bool:
        """Whether what is called in a tape belongs to what is trained next."""
        if not self._calls.is_recorded(made.results[0]):
            return False
        trained = {id(v) for v in self.phases[number].update.variables}
        return bool(trained & {id(v) for v in _variables_of(made.function, made.args)})

    # What each update needs

    def _export(self, tensor: KerasTensor) -> None:
        """Have rows handed on by the plan that makes them."""
        if self._calls.is_data(tensor) or self._is_by_python(tensor):
            return
        number = self._range(tensor)
        if number >= len(self.phases):
            raise NotLowerable("it computes rows after the last update")
        exports = self.phases[number].exports
        if not any(tensor is x for x in exports):
            exports.append(tensor)

    def _gather(self, number: int) -> None:
        """The calls that lead to an update, and what they read."""
        phase = self.phases[number]
        for end in ends_of(phase.update.loss):
            self._need(phase, number, end.rows)
        for tensor in phase.exports:
            self._need(phase, number, tensor)
        for i, node in enumerate(self._nodes):
            own = bisect_right(self._bounds, i) == number
            if own and isinstance(node.operation, Layer | RowDraw) and node.outputs:
                self._need(phase, number, node.outputs[0])
        phase.nodes = dict(sorted(phase.nodes.items()))

    def _need(self, phase: Phase, number: int, tensor: KerasTensor) -> None:
        if self._calls.is_data(tensor) or self._is_by_python(tensor):
            if not any(tensor is x for x in phase.inputs):
                phase.inputs.append(tensor)
            return
        place = self._maker[id(tensor)]
        if place in phase.nodes:
            return
        node, made_in = self._nodes[place], bisect_right(self._bounds, place)
        if made_in < number:
            of_weights = tensor.shape[:1] != (None,)
            if not of_weights and not self._leads_to(phase, node):
                self._export(tensor)
                if not any(tensor is x for x in phase.inputs):
                    phase.inputs.append(tensor)
                return
            self._check_again(node, made_in, number)
        phase.nodes[place] = node
        for x in node.input_tensors:
            self._need(phase, number, x)

    def _leads_to(self, phase: Phase, node: Node) -> bool:
        """Whether a gradient by what is trained goes through a call."""
        if id(node) not in phase.leads:
            trained = {id(v) for v in phase.update.variables}
            own = bool(trained & {id(v) for v in _variables_of(node.operation, node.args)})
            makers = [self._maker[id(x)] for x in node.input_tensors if id(x) in self._maker]
            phase.leads[id(node)] = not _stops_gradient(node) and (
                own or any(self._leads_to(phase, self._nodes[i]) for i in makers)
            )
        return phase.leads[id(node)]

    def _check_again(self, node: Node, made_in: int, number: int) -> None:
        """A call is made again for an update after others: it must give the same."""
        if isinstance(node.operation, WeightValue):
            return  # read where it is used
        used = {id(v) for v in _variables_of(node.operation, node.args)}
        for step in self._steps[made_in:number]:
            if used & {id(v) for v in step.variables}:
                raise NotLowerable("it takes a gradient through what an update has made old")
        layer = node.operation
        has_state = isinstance(layer, Layer) and layer.non_trainable_variables
        if isinstance(layer, RowDraw) or (has_state and node.kwargs.get("training")):
            raise NotLowerable("it takes a gradient through draws, or state, behind an update")


def _stops_gradient(node: Node) -> bool:
    return name_of_call(node) == "stop_gradient"


def _tensors_of(made: Made) -> list[KerasTensor]:
    leaves = tree.flatten((list(made.args), dict(made.kwargs)))
    return [x for x in leaves if isinstance(x, KerasTensor)]


def _variables_of(function: object, args: Sequence[object]) -> list[Variable]:
    """The variables that a call reads."""
    if isinstance(function, Layer):
        return list(function.variables)
    if isinstance(function, WeightValue):
        return [function.variable]
    return [x for x in tree.flatten(list(args)) if isinstance(x, Variable)]
