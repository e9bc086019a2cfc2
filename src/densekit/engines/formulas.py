"""Formulas of users' own steps as native programs: from what a model gave to a loss.

What a formula does to each row becomes a plan; means and sums over the whole batch end it. What is
computed from those, single numbers, is done in Python, forward and backward.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from densekit import ops
from densekit._core.native_form import NativeForm
from densekit.engines import native
from densekit.engines.fusing import fused
from densekit.engines.lowering import lower_op
from densekit.engines.plan import PlanBuilder
from densekit.engines.plan_op import Handle, NotLowerable
from densekit.ops import KerasTensor
from densekit.ops._formula_steps import Slot, Step

Array = npt.NDArray[Any]

# Operators of boxes, as ops.
_OPERATORS = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "pow": "power",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
    "neg": "negative",
    "abs": "absolute",
    "getitem": "get_item",
}
_REFLECTED = ("radd", "rsub", "rmul", "rtruediv", "rpow")
_ENDS = {"mean": True, "sum": False}  # reductions over the batch: whether a mean


class End(NamedTuple):
    """A number made of all rows: the sum of a value times a factor, or a built-in loss of it."""

    place: int
    value: int  # place of the value
    factor: float
    loss: tuple[NativeForm, int] | None = None  # with the place of the targets


class Number(NamedTuple):
    """A number made of numbers: places, or constants as floats."""

    place: int
    name: str
    operands: tuple[Any, ...]  # ("at", place) or ("is", number)


_FORWARD: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "negative": operator.neg,
}
# Gradients of the operands, from that of the result and the operands.
_BACKWARD: dict[str, Callable[..., tuple[Any, ...]]] = {
    "add": lambda g, a, b: (g, g),
    "subtract": lambda g, a, b: (g, -g),
    "multiply": lambda g, a, b: (g * b, g * a),
    "divide": lambda g, a, b: (g / b, -g * a / (b * b)),
    "negative": lambda g, a: (-g,),
}


class Lowered:
    """A formula taken apart: a plan over rows, the ends of it, and what numbers become.

    Args:
        steps: the formula, step by step: `ops/_deferred.py`.

    Raises:
        NotLowerable: if some of it has no native form.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        first = steps[0]
        self.rows = first.shape[0] if first.shape else 0
        self.dtype = np.dtype(first.dtype).name
        if not self.rows or self.dtype not in ("float32", "float64"):
            raise NotLowerable("it does not begin with rows of floats")
        self.plan = PlanBuilder(self.dtype)
        self.tensors: dict[int, KerasTensor] = {}  # by place: rows
        self.handles: dict[int, Handle] = {}
        self.arrays: dict[int, tuple[Any, Any]] = {}  # by place: what came in from outside
        self.inputs: list[int] = []  # places of the plan's inputs
        self.recorded: list[int] = []  # places of those with a gradient
        self.numbers: set[int] = set()
        self.ends: list[End] = []
        self.after: list[Number] = []
        for step in steps:
            self._add(step)

    def _add(self, step: Step) -> None:
        if step.key[0] == "value":
            self._rows(step.place, step.shape, step.dtype)
            self.recorded.append(step.place)
            return
        first, *tokens = step.key
        place = step.place - step.inputs
        operands: list[Any] = []
        settings: dict[str, Any] = {}
        for token in tokens:
            if isinstance(token, Slot):
                operands.append(token)
            elif len(token) == 2 and isinstance(token[1], np.dtype):
                self.arrays[place] = token
                operands.append(place)
                place += 1
            else:
                operands.append(token)
        if first == "loss":
            self._loss(step, operands)
            return
        reflected = first in _REFLECTED
        if isinstance(first, str):
            name = _OPERATORS[first[1:] if reflected else first]
        else:
            name = first.__name__
        args: list[Any] = []
        for operand in operands:
            if isinstance(operand, int):
                args.append(_Outside(operand))
            elif isinstance(operand, Slot):
                args.append(_Inside(operand.index))
            elif first == "getitem":
                args.append(_index(operand))
            elif len(operand) == 2 and isinstance(operand[0], str):
                settings[operand[0]] = _plain(operand[1])
            else:
                args.append(_plain(operand))
        if reflected:
            args.reverse()
        self._op(step, name, args, settings)

    def _rows(self, place: int, shape: Any, dtype: Any) -> None:
        if not shape or shape[0] != self.rows:
            raise NotLowerable("it has another number of rows")
        name = np.dtype(dtype).name
        if name not in (self.dtype, "bool", "int32", "int64"):
            raise NotLowerable(f"it meets {name}")
        tensor = KerasTensor((None, *shape[1:]), name)
        self.tensors[place] = tensor
        self.handles[place] = self.plan.input(tuple(shape[1:]), name)
        self.inputs.append(place)

    def _op(self, step: Step, name: str, args: list[Any], settings: dict[str, Any]) -> None:
        places = [a.place for a in args if isinstance(a, _Inside)]
        if places and all(place in self.numbers for place in places):
            self._number(step, name, args)
            return
        if any(place in self.numbers for place in places):
            raise NotLowerable("a number of the batch meets rows")
        if step.shape == ():
            self._end(step, name, args, settings)
            return
        symbolic: list[Any] = []
        for arg in args:
            if isinstance(arg, _Outside):
                if arg.place not in self.tensors:
                    self._rows(arg.place, *self.arrays[arg.place])
                symbolic.append(self.tensors[arg.place])
            elif isinstance(arg, _Inside):
                symbolic.append(self.tensors[arg.place])
            else:
                symbolic.append(arg)
        try:
            result = getattr(ops, name)(*symbolic, **settings)
        except (ValueError, TypeError) as error:
            raise NotLowerable(str(error)) from None
        if not isinstance(result, KerasTensor) or result._keras_history is None:
            raise NotLowerable("it gives several values")
        if result.shape != (None, *step.shape[1:]) or step.shape[0] != self.rows:
            raise NotLowerable("it does not give a row for each row")
        if result.dtype != np.dtype(step.dtype).name:
            raise NotLowerable(f"it gives {step.dtype}")
        operation, index, _ = result._keras_history
        node = operation._inbound_nodes[index]
        at = {id(t): place for place, t in self.tensors.items()}
        handles = [self.handles[at[id(t)]] for t in node.input_tensors]
        (self.handles[step.place],) = lower_op(self.plan, node, handles)
        self.tensors[step.place] = result

    def _end(self, step: Step, name: str, args: list[Any], settings: dict[str, Any]) -> None:
        given = dict(zip(("x", "axis", "keepdims"), args, strict=False)) | settings
        x = given.pop("x", None)
        whole = not any(given.values()) and given.get("axis") is None
        if name not in _ENDS or not isinstance(x, _Inside) or not whole:
            raise NotLowerable("it mixes rows")
        size = self.rows * self.handles[x.place].size
        if self.handles[x.place].dtype != self.dtype or not size:
            raise NotLowerable("it reduces what are no floats")
        self.ends.append(End(step.place, x.place, 1.0 / size if _ENDS[name] else 1.0))
        self.numbers.add(step.place)

    def _loss(self, step: Step, operands: list[Any]) -> None:
        form, y_true, y_pred, divisor = operands
        if y_pred.index not in self.handles:
            raise NotLowerable("it is a loss of numbers")
        self.ends.append(End(step.place, y_pred.index, 1.0 / divisor[1], (form[1], y_true)))
        self.numbers.add(step.place)

    def _number(self, step: Step, name: str, args: list[Any]) -> None:
        if name not in _FORWARD or np.dtype(step.dtype).name != self.dtype:
            raise NotLowerable(f"numbers of the batch go into `ops.{name}`")
        operands: list[Any] = []
        for arg in args:
            if isinstance(arg, _Inside):
                operands.append(("at", arg.place))
            elif isinstance(arg, int | float):
                operands.append(("is", float(arg)))
            else:
                raise NotLowerable("a number of the batch meets an array")
        self.after.append(Number(step.place, name, tuple(operands)))
        self.numbers.add(step.place)


class _Inside(NamedTuple):
    place: int


class _Outside(NamedTuple):
    place: int


def _plain(token: Any) -> Any:
    """The setting behind a token."""
    if len(token) == 2 and isinstance(token[0], type):
        kind, value = token
        if type(value) is str and kind is not str:
            return None if kind is type(None) else kind(value) if value != "False" else False
        return "" if kind is str and value == "''" else value
    return token  # a tuple of whole numbers


def _index(token: Any) -> Any:
    if token[0] == "slice":
        return slice(*token[1:])
    if token[0] == "axis":
        return None if token[1] == "None" else Ellipsis
    if token[0] == "at":
        return token[1]
    return tuple(map(_index, token))


class FormulaProgram:
    """Runs a formula: gives its value, and the gradients of what went in.

    Args:
        steps: the formula; the last one gives the value.

    Raises:
        NotLowerable: if it has no native form, or its value is not one number.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        lowered = Lowered(steps)
        target = steps[-1].place
        if target not in lowered.numbers:
            raise NotLowerable("its value is not one number")
        self._after = [n for n in lowered.after if n.place <= target]
        wanted = _needed(target, self._after)
        self._after = [n for n in self._after if n.place in wanted]
        self._ends = [e for e in lowered.ends if e.place in wanted]
        self._target = target
        self._inputs = lowered.inputs
        self.recorded = lowered.recorded
        self._type = np.dtype(lowered.dtype).type
        made = [e.value for e in self._ends if e.value not in lowered.inputs]
        self._outputs = list(dict.fromkeys(made))
        self._shapes = {p: lowered.handles[p].sample_shape for p in lowered.handles}
        self._engine: native.NativeEngine | None = None
        if self._outputs:
            plan = lowered.plan
            plan.outputs = [lowered.handles[p] for p in self._outputs]
            plan.ops = fused(plan.ops, {h.value for h in plan.outputs})
            self._engine = native.NativeEngine(plan, penalties=False)
        self._seeds: dict[tuple[int, float], Array] = {}
        self._only_loss: Any = None  # the whole formula is a built-in loss of what a model gave
        self._only_sum: Any = None  # or the sum of a value that the plan gives
        (end, *more) = self._ends
        if more or self._after:
            return
        if end.loss is not None and self._engine is None:
            form, y_true = end.loss
            parameters = list(form.parameters)
            self._only_loss = end.value, y_true, form.kind, parameters, 1.0 / end.factor
        elif end.loss is None and self._engine is not None:
            shape = lowered.rows, *self._shapes[end.value]
            places = [(i, p) for i, p in enumerate(self._inputs) if p in self.recorded]
            self._only_sum = end.factor, [np.full(shape, end.factor, self._type)], places

    def run(self, values: dict[int, Array]) -> tuple[Any, dict[int, Array]]:
        """The value, and by place the gradients of the recorded values; those without are out."""
        if self._only_loss is not None:
            place, y_true, form, parameters, divisor = self._only_loss
            total, slope = native.mean_loss(
                form, parameters, values[y_true], values[place], divisor
            )
            return self._type(total), {place: slope}
        if self._only_sum is not None and self._engine is not None:
            factor, seed, places = self._only_sum
            rows = [values[place] for place in self._inputs]
            (total,), found = self._engine.plan.sum_rows(rows, seed)
            return self._type(total * factor), {place: found[i] for i, place in places}
        return self._run(values)

    def _run(self, values: dict[int, Array]) -> tuple[Any, dict[int, Array]]:
        """The same, whatever the formula is."""
        found: dict[int, Array] = {}
        recorded: Any = None
        if self._engine is not None:
            rows = [values[p] for p in self._inputs]
            recorded, made = self._engine.plan.record(rows, (), (), False, True)
            found = dict(zip(self._outputs, made, strict=True))
        kind = self._type
        numbers: dict[int, Any] = {}
        slopes: dict[int, Array] = {}
        for end in self._ends:
            value = found.get(end.value)
            if end.loss is None:
                value = values[end.value] if value is None else value
                total = np.add.reduce(value, axis=None, dtype=np.float64)
                numbers[end.place] = kind(total * end.factor)
                continue
            form, y_true = end.loss
            given = values[end.value] if value is None else value
            total, slope = native.mean_loss(
                form.kind, list(form.parameters), values[y_true], given, 1.0 / end.factor
            )
            numbers[end.place], slopes[end.place] = kind(total), slope
        for number in self._after:
            operands = [numbers[v] if is_at == "at" else v for is_at, v in number.operands]
            numbers[number.place] = kind(_FORWARD[number.name](*operands))
        into = self._back(numbers)
        gradients: dict[int, Array] = {}
        for end in self._ends:
            g = into.get(end.place)
            if g is None:
                continue
            if end.loss is None:
                size = self._shapes[end.value]
                seed = self._seed(end.value, float(g) * end.factor, values, size)
            else:
                seed = slopes[end.place]
                if g != 1:
                    seed *= g
            known = gradients.get(end.value)
            gradients[end.value] = seed if known is None else known + seed
        if recorded is not None:
            seeds = [gradients.pop(p, None) for p in self._outputs]
            _, inner = recorded.gradients(seeds)
            for place, gradient in zip(self._inputs, inner, strict=True):
                if place in self.recorded:
                    known = gradients.get(place)
                    if known is not None:
                        gradient = known.reshape(gradient.shape) + gradient
                    gradients[place] = gradient
        return numbers[self._target], gradients

    def _seed(self, place: int, factor: float, values: dict[int, Array], shape: Any) -> Array:
        """The gradient of a sum of rows: one number everywhere."""
        seed = self._seeds.get((place, factor))
        if seed is None:
            if len(self._seeds) > 16:
                self._seeds.clear()
            rows = len(values[self.recorded[0]])
            seed = np.full((rows, *shape), factor, self._type)
            seed.setflags(write=False)
            self._seeds[place, factor] = seed
        return seed

    def _back(self, numbers: dict[int, Any]) -> dict[int, Any]:
        into: dict[int, Any] = {self._target: self._type(1)}
        for number in reversed(self._after):
            g = into.get(number.place)
            if g is None:
                continue
            operands = [numbers[v] if is_at == "at" else v for is_at, v in number.operands]
            parts = _BACKWARD[number.name](g, *operands)
            for (is_at, v), part in zip(number.operands, parts, strict=True):
                if is_at == "at":
                    into[v] = into[v] + part if v in into else part
        return into


def _needed(target: int, after: Sequence[Number]) -> set[int]:
    """The numbers that a number is made of, and itself."""
    needed = {target}
    for number in reversed(after):
        if number.place in needed:
            needed |= {v for is_at, v in number.operands if is_at == "at"}
    return needed


def can_lower(steps: Sequence[Step]) -> bool:
    """Whether a formula has a native form, whatever its last step gives."""
    try:
        Lowered(steps)
    except NotLowerable:
        return False
    return True
