"""Formulas of users' own steps taken apart: what is done to rows, over the batch, and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from densekit import ops
from densekit._core.native_form import NativeForm
from densekit._core.types import Config, DTypeLike, Shape
from densekit.engines.formula_numbers import FORWARD, At, Number
from densekit.engines.lowering import new_plan
from densekit.engines.op_lowerings import lower_op
from densekit.engines.plan_op import Handle, NotLowerable
from densekit.ops import KerasTensor
from densekit.ops._formula_steps import Slot, Step

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


class LossEnd(NamedTuple):
    """A built-in loss, with the places of the targets and of the weights; -1: there are none."""

    form: NativeForm
    targets: int
    weights: int


class End(NamedTuple):
    """A number made of all rows: the sum of a value, divided, or a built-in loss of it."""

    place: int
    value: int  # place of the value
    divisor: float
    loss: LossEnd | None = None


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
        self.plan = new_plan(self.dtype, None)
        self.tensors: dict[int, KerasTensor] = {}  # by place: rows
        self.handles: dict[int, Handle] = {}
        self.arrays: dict[int, tuple[Shape, DTypeLike]] = {}  # by place: what came in from outside
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
                args.append(Outside(operand))
            elif isinstance(operand, Slot):
                args.append(At(operand.index))
            elif first == "getitem":
                args.append(_index(operand))
            elif len(operand) == 2 and isinstance(operand[0], str):
                settings[operand[0]] = _plain(operand[1])
            else:
                args.append(_plain(operand))
        if reflected:
            args.reverse()
        self._op(step, name, args, settings)

    def _rows(self, place: int, shape: Shape, dtype: DTypeLike) -> None:
        if not shape or shape[0] != self.rows:
            raise NotLowerable("it has another number of rows")
        name = np.dtype(dtype).name
        if name not in (self.dtype, "bool", "int32", "int64"):
            raise NotLowerable(f"it meets {name}")
        if not np.dtype(dtype).isnative:
            raise NotLowerable("its bytes are in another order")
        tensor = KerasTensor((None, *shape[1:]), name)
        self.tensors[place] = tensor
        self.handles[place] = self.plan.input(tuple(shape[1:]), name)
        self.inputs.append(place)

    def _op(self, step: Step, name: str, args: list[Any], settings: dict[str, Any]) -> None:
        places = [a.place for a in args if isinstance(a, At)]
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
            if isinstance(arg, Outside):
                if arg.place not in self.tensors:
                    self._rows(arg.place, *self.arrays[arg.place])
                symbolic.append(self.tensors[arg.place])
            elif isinstance(arg, At):
                symbolic.append(self.tensors[arg.place])
            else:
                symbolic.append(arg)
        result = called(name, symbolic, settings)
        if result.shape != (None, *step.shape[1:]) or step.shape[0] != self.rows:
            raise NotLowerable("it does not give a row for each row")
        if result.dtype != np.dtype(step.dtype).name:
            raise NotLowerable(f"it gives {step.dtype}")
        self.handles[step.place], self.tensors[step.place] = lowered_call(self, result), result

    def _end(self, step: Step, name: str, args: list[Any], settings: dict[str, Any]) -> None:
        given = dict(zip(("x", "axis", "keepdims"), args, strict=False)) | settings
        x = given.pop("x", None)
        whole = not any(given.values()) and given.get("axis") is None
        if name not in _ENDS or not isinstance(x, At) or not whole:
            raise NotLowerable("it mixes rows")
        size = self.rows * self.handles[x.place].size
        if self.handles[x.place].dtype != self.dtype or not size:
            raise NotLowerable("it reduces what are no floats")
        self.ends.append(End(step.place, x.place, float(size) if _ENDS[name] else 1.0))
        self.numbers.add(step.place)

    def _loss(self, step: Step, operands: list[Any]) -> None:
        form, y_true, y_pred, divisor, *weights = operands
        if y_pred.index not in self.handles:
            raise NotLowerable("it is a loss of numbers")
        loss = LossEnd(form[1], y_true, *(weights or [-1]))
        self.ends.append(End(step.place, y_pred.index, divisor[1], loss))
        self.numbers.add(step.place)

    def _number(self, step: Step, name: str, args: list[Any]) -> None:
        if name not in FORWARD or np.dtype(step.dtype).name != self.dtype:
            raise NotLowerable(f"numbers of the batch go into `ops.{name}`")
        operands: list[At | float] = []
        for arg in args:
            if isinstance(arg, At):
                operands.append(arg)
            elif isinstance(arg, int | float):
                operands.append(float(arg))
            else:
                raise NotLowerable("a number of the batch meets an array")
        self.after.append(Number(step.place, name, tuple(operands)))
        self.numbers.add(step.place)


class Outside(NamedTuple):
    """An array that comes in from outside, by its place."""

    place: int


def called(name: str, args: Sequence[object], settings: Config) -> KerasTensor:
    """What an op gives, symbolically.

    Raises:
        NotLowerable: if it is not one value, or it takes something else.
    """
    try:
        result = getattr(ops, name)(*args, **settings)
    except (ValueError, TypeError) as error:
        raise NotLowerable(str(error)) from None
    if not isinstance(result, KerasTensor) or result._keras_history is None:
        raise NotLowerable("it gives several values")
    return result


def lowered_call(lowered: Lowered, result: KerasTensor) -> Handle:
    """The op behind a symbolic result in the plan."""
    assert result._keras_history is not None
    operation, index, _ = result._keras_history
    node = operation._inbound_nodes[index]
    at = {id(t): place for place, t in lowered.tensors.items()}
    handles = [lowered.handles[at[id(t)]] for t in node.input_tensors]
    (handle,) = lower_op(lowered.plan, node, handles)
    return handle


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


def can_lower(steps: Sequence[Step], way: type[Lowered]) -> bool:
    """Whether a formula has a native form of a kind, whatever its last step gives."""
    try:
        way(steps)
    except NotLowerable:
        return False
    return True
