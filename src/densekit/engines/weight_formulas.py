"""Formulas of weights alone, such as ``v * g / norm(v)``: computed once a step, not per row.

They are ops like others, in a plan of their own of which one row runs: its inputs are variables,
and for what it gives stand variables that the ops of rows read. Their gradients go back through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

import numpy as np

from densekit._core import tree
from densekit._core.native_form import NativeForm
from densekit._core.types import ArrayLike, Config, Shape
from densekit._core.variable import Variable
from densekit.engines.op_rules import rules
from densekit.engines.op_rules.composed import COMPOSED
from densekit.engines.op_rules.elementwise import ELEMENTWISE
from densekit.engines.op_rules.moves import MOVES, moved
from densekit.engines.op_rules.products import letters_of_product
from densekit.engines.op_rules.rule import constant, name_of
from densekit.engines.plan import PlanBuilder
from densekit.engines.plan_op import Handle, NotLowerable, native_op
from densekit.engines.plan_record import MadeWeights
from densekit.engines.whole_batch import is_common
from densekit.ops._symbolic import FunctionOperation

_LARGEST_CONSTANT = 1 << 16  # elements, as an attribute of an op; more is a variable
_LARGEST_MOVE = 1 << 22  # elements, each with its place
# Ops with an axis; of some it may be None: all of them.
_OVER_ALL = frozenset(
    [
        "sum",
        "mean",
        "max",
        "amax",
        "min",
        "amin",
        "prod",
        "logsumexp",
        "all",
        "any",
        "var",
        "std",
        "norm",
        "median",
    ]
)
_ALONG = frozenset(
    [
        "argmax",
        "argmin",
        "argsort",
        "cumsum",
        "normalize",
        "softmax",
        "log_softmax",
        "sparsemax",
        "glu",
        "sort",
    ]
)
# The last axis, or none at all.
_LAST_AXIS = frozenset(["zeros_like", "ones_like", "full_like", "top_k", "one_hot"])


class OfWeights(Handle):
    """A value computed of weights alone: one row of the plan of formulas."""

    __slots__ = ()

    @property
    def own_shape(self) -> Shape:
        """Its shape, which has no batch axis."""
        return self.sample_shape


def is_of_weights(x: object) -> TypeGuard[OfWeights]:
    """Whether it is a value of weights alone."""
    return isinstance(x, OfWeights)


class WeightFormulas(MadeWeights):
    """The formulas of a plan.

    Args:
        owner: the plan, whose ops read what they give.
    """

    def __init__(self, owner: PlanBuilder) -> None:
        self.builder = PlanBuilder(owner.dtype)
        super().__init__(self.builder)
        self._owner = owner
        # By value: the variable whose axes it has in another order, and which.
        self.transposed: dict[int, tuple[Variable, tuple[int, ...]]] = {}

    def read(self, variable: Variable) -> OfWeights:
        """A variable as a value."""
        now = self._owner.current(variable)
        if isinstance(now, Handle):
            raise NotLowerable(f"it reads {variable.name!r}, to which it assigned what rows give")
        for result, handle in self.results:
            if result is now:
                return OfWeights(handle.value, handle.shape, handle.dtype)
        if now.dtype != self.builder.dtype:
            raise NotLowerable(
                f"its {now.name!r} is in {now.dtype}, the plan in {self.builder.dtype}"
            )
        self._owner.refuse_written([now])
        for source, handle in self.sources:
            if source is now:
                return OfWeights(handle.value, handle.shape, handle.dtype)
        handle = self.builder.input(now.shape, now.dtype)
        self.sources.append((now, handle))
        self.transposed[handle.value] = now, tuple(range(now.ndim))
        return OfWeights(handle.value, handle.shape, handle.dtype)

    def of_batch(self, shape: Shape, dtype: str) -> OfWeights:
        """What is given with each batch, and all of it at once."""
        handle = self.builder.input(shape, dtype)
        return OfWeights(handle.value, handle.shape, handle.dtype)

    def variable(self, value: OfWeights) -> Variable:
        """What ops of rows read for a value."""
        for source, handle in self.sources:
            if handle.value == value.value and source.shape == value.own_shape:
                return source
        return self.made(value)

    def made(self, value: OfWeights) -> Variable:
        """The same, and never the weight itself, which a step changes."""
        for result, handle in self.results:
            if handle.value == value.value and result.shape == value.own_shape:
                return result
        if value.dtype not in (self.builder.dtype, "bool"):
            raise NotLowerable(f"weights become {value.dtype}")
        result = Variable(
            np.zeros(value.own_shape), dtype=self.builder.dtype, trainable=False, name="formula"
        )
        self.results.append((result, Handle(value.value, value.shape, value.dtype)))
        return result

    def number(self, value: object) -> object:
        """An operand in the plan of formulas: large arrays are read as variables are."""
        if isinstance(value, Variable):
            return self.read(value)
        if isinstance(value, np.ndarray) and value.size > _LARGEST_CONSTANT:
            return self.read(constant(self.builder, value))
        return value


def formulas_of(plan: PlanBuilder) -> WeightFormulas:
    """The formulas of a plan, none at first."""
    if plan.made_weights is None:
        plan.made_weights = WeightFormulas(plan)
    assert isinstance(plan.made_weights, WeightFormulas)
    return plan.made_weights


def lower_of_weights(
    plan: PlanBuilder, operation: FunctionOperation, arguments: Config
) -> list[Handle]:
    """An op of weights alone.

    Raises:
        NotLowerable: if it has no native form.
    """
    formulas, name = formulas_of(plan), name_of(operation)
    builder = formulas.builder
    arguments = tree.map_structure(formulas.number, arguments)
    mark, builder.lower_formula = builder.mark(), plan.lower_formula
    try:
        made = _lowered(formulas, name, operation, arguments)
    except NotLowerable:
        builder.go_back(mark)
        raise
    handles = [made] if isinstance(made, Handle) else list(made)
    return [OfWeights(y.value, y.shape, y.dtype) for y in handles]


def _lowered(
    formulas: WeightFormulas, name: str, operation: FunctionOperation, a: Config
) -> Handle | Sequence[Handle]:
    builder = formulas.builder
    values = [x for x in tree.flatten(a) if is_of_weights(x)]
    if name in COMPOSED:
        return rules[name](builder, operation, a)
    if name in MOVES or name == "diag":  # which takes no rows
        return _moved(formulas, name, operation, a)
    if name in ELEMENTWISE:
        rank = max(len(x.own_shape) if is_of_weights(x) else np.ndim(x) for x in a.values())
        return rules[name](builder, operation, {k: _of_rank(x, rank) for k, x in a.items()})
    if name in ("matmul", "dot", "einsum", "tensordot"):
        return _product(builder, name, a)
    if name in ("concatenate", "stack"):
        xs = a["xs"] if name == "concatenate" else a["x"]
        rank = len(values[0].own_shape) + (name == "stack")
        if a["axis"] is None or not all(map(is_of_weights, xs)):
            raise NotLowerable("it joins weights with numbers, or all of their elements")
        return rules[name](builder, operation, {**a, "axis": a["axis"] % rank + 1})
    if name == "take_along_axis" and a["axis"] is not None:
        return rules[name](
            builder, operation, {**a, "axis": a["axis"] % len(values[0].own_shape) + 1}
        )
    if name in _OVER_ALL or name in _ALONG:
        return _along_axes(builder, name, operation, a)
    if name in _LAST_AXIS:
        return rules[name](builder, operation, a)
    alone = " of weights alone" if name in rules else ""
    raise NotLowerable(f"`ops.{name}`{alone} has no native form")


def _of_rank(x: object, rank: int) -> object:
    """A value as a row with so many axes."""
    if not is_of_weights(x):
        return x
    shape = (None, *(1,) * (rank - len(x.own_shape)), *x.own_shape)
    return Handle(x.value, shape, x.dtype)


def _moved(
    formulas: WeightFormulas, name: str, operation: FunctionOperation, a: Config
) -> list[Handle]:
    x, move = moved(operation, a)
    if x.size > _LARGEST_MOVE:
        raise NotLowerable("it moves more elements than places are kept for")
    numbers = np.arange(1, x.size + 1).reshape(x.sample_shape)
    result = move(numbers)
    parts = result if isinstance(result, list | tuple) else [result]
    handles = [formulas.builder.rearrange(x, np.asarray(part) - 1) for part in parts]
    if name == "transpose" and x.value in formulas.transposed:
        variable, order = formulas.transposed[x.value]
        axes = a["axes"] or range(len(order))[::-1]
        formulas.transposed[handles[0].value] = variable, tuple(order[axis] for axis in axes)
    return handles


def _along_axes(
    builder: PlanBuilder, name: str, operation: FunctionOperation, a: Config
) -> Handle | Sequence[Handle]:
    x = next(v for v in a.values() if is_of_weights(v))
    rank, axis = len(x.own_shape), a["axis"]
    if axis is None and (name in _OVER_ALL or rank == 1):
        axes = list(range(1, rank + 1))
    elif axis is None:
        raise NotLowerable(f"`ops.{name}` of all elements of weights has no native form")
    else:
        axes = [n % rank + 1 for n in ([axis] if isinstance(axis, int) else axis)]
    if name == "norm":
        return _norm(builder, x, axes, a)
    one = isinstance(axis, int) or (axis is None and rank == 1)
    if len(axes) > 1 and name in ("median", *_ALONG):
        raise NotLowerable(f"`ops.{name}` along several axes of weights has no native form")
    return rules[name](builder, operation, {**a, "axis": axes[0] if one else axes})


def _norm(builder: PlanBuilder, x: Handle, axes: Sequence[int], a: Config) -> Handle:
    if a["ord"] not in ((None, 2) if len(axes) < 2 else (None, "fro")):
        raise NotLowerable("it takes another norm than the Euclidean one")
    squares = builder.activation(x, NativeForm("square"))
    total = builder.reduce("sum", squares, axes, a["keepdims"])
    return builder.activation(total, NativeForm("sqrt"))


def _product(builder: PlanBuilder, name: str, a: Config) -> Handle:
    factors = list(a["operands"]) if name == "einsum" else [a["x1"], a["x2"]]
    like = next(x for x in factors if is_of_weights(x))
    values = [x if is_of_weights(x) else _filled_with(builder, like, x) for x in factors]
    equation = letters_of_product(name, a, [len(x.own_shape) for x in values])
    if len(values) != 2:
        raise NotLowerable("it has not two factors")
    terms, _, result = equation.partition("->")
    left, _, right = terms.partition(",")
    return builder.einsum(f"Ω{left},Ω{right}->Ω{result}", *values)


def _filled_with(builder: PlanBuilder, like: Handle, numbers: ArrayLike) -> OfWeights:
    """An array of numbers as a value."""
    array = np.asarray(numbers)
    y = builder.elementwise("add", builder.filled(like, array.shape, 0.0), array)
    return OfWeights(y.value, y.shape, y.dtype)


def penalise_anew(plan: PlanBuilder) -> None:
    """Penalties of weights that a call assigned to become those of the new values.

    Raises:
        NotLowerable: if they have no native form, or Python assigns to them.
    """
    for variable in {id(v): v for v in plan.penalised_anew}.values():
        if plan.current(variable) is variable or plan.lower_formula is None:
            raise NotLowerable(
                f"it assigns to {variable.path!r}, whose penalty is that of the new value"
            )
        value = formulas_of(plan).read(variable)
        (penalty,) = plan.lower_formula(variable.regularizer, [value])
        if not is_of_weights(penalty) or penalty.own_shape:
            raise NotLowerable(f"the penalty of {variable.path!r} is no number")
        penalise(plan, penalty)


def penalise(plan: PlanBuilder, penalty: OfWeights) -> None:
    """Add a number made of weights to the loss."""
    number = formulas_of(plan).variable(penalty)
    copies = plan.elementwise("add", plan.filled(plan.inputs[0], (), 0.0), number)
    plan.added_loss(copies, 1.0)


def assign(plan: PlanBuilder, variable: Variable, value: Handle) -> None:
    """A call leaves a value in a variable: ops after that read it, and the step keeps it.

    What is trained is not kept: the step moves it on from where it was.
    """
    if not plan.learns:
        raise NotLowerable(f"it assigns to {variable.path!r} where nothing is trained")
    if variable.trainable and variable.regularizer is not None:
        plan.penalised_anew.append(variable)
    if not plan.assigns:
        raise NotLowerable(f"it assigns to {variable.path!r}, which Python reads in the same step")
    if value.dtype != plan.dtype or variable.dtype != plan.dtype:
        raise NotLowerable(f"it assigns {value.dtype} to {variable.path!r}")
    if is_of_weights(value):
        if value.own_shape != variable.shape:
            raise NotLowerable(f"it assigns another shape to {variable.path!r}")
        result = formulas_of(plan).made(value)
        plan.assigned.append((variable, result))
        if not variable.trainable:
            plan.ops.append(native_op("assign", [], [], {}, [result], [variable]))
        return
    if not is_common(value) or value.own_shape != variable.shape or variable.trainable:
        raise NotLowerable(f"it assigns to {variable.path!r} what is not the same for all rows")
    plan.ops.append(native_op("assign", [value], [], {}, [], [variable]))
    plan.assigned.append((variable, value))
