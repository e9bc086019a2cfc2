"""Boxes whose computation waits: a formula on what a model gave, to be run as a whole.

An op on a `DeferredBox` is noted and gives another one. When a tape asks for the gradient, all that
was noted runs as one native program; whatever else is done with such a box computes it as any box
of `autograd`. An op is noted only if the same one, on values of the same shapes, was computed
before and has a native form: so errors come where they belong, and nothing is found out late.

What has been noted is a path in a tree of `Step`s. A step that is in the tree has been looked at;
another pass of the same formula walks the same path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import Box

from densekit._core.boxes import BOXES, DEFERRED
from densekit._core.tensor import Tensor
from densekit._core.types import Array, DTypeLike, Real, TensorLike
from densekit.ops._formula_keys import index_token, setting
from densekit.ops._formula_steps import SLOTS, Formulas, Key, Step
from densekit.ops._gradient import new_node, not_paused, teach_boxes

# An op and what it is called with.
Function: TypeAlias = Callable[..., Any]
Args: TypeAlias = Sequence[Any]
Kwargs: TypeAlias = Mapping[str, Any]

_ARRAYS = frozenset({np.ndarray, Tensor})
_NUMBERS = frozenset({float, int})


class Formula:
    """What is noted in one pass: where it stands in the tree, and the arrays that went in."""

    __slots__ = ("__weakref__", "formulas", "made_by", "numbers", "step", "trace", "values")

    def __init__(self, formulas: Formulas, trace: int) -> None:
        self.formulas = formulas
        self.trace = trace
        self.step = formulas.start
        self.values: dict[int, TensorLike] = {}  # by place: the arrays that went in
        self.made_by: dict[int, Any] = {}  # by place, for those that have a gradient
        self.numbers: dict[int, Real] = {}  # by place: what a program found on its way

    def enter(self, value: TensorLike, made_by: Any) -> Any:
        """A box around what a model gave; `made_by` says where its gradient goes."""
        before = self.step
        step = before.latest  # mostly the same as in the pass before
        if step is None or step.shape != value.shape or step.dtype is not value.dtype:
            step = before.latest = self._entered(value)
        if step is None:
            return ArrayBox(value, self.trace, made_by.node())
        self.step = step
        box = DeferredBox(self, step, made_by, None)
        box._value, box._is_known = value, True
        self.values[step.place] = value
        self.made_by[step.place] = made_by
        return box

    def _entered(self, value: TensorLike) -> Step | None:
        """The step of a value from outside; None if there is no room for another one."""
        before = self.step
        key = ("value", value.shape, value.dtype)
        step = before.next.get(key)
        if step is None and self.formulas.has_room(before, key):
            step = before.next[key] = Step(before, key, 0, value.shape, value.dtype)
            self.formulas.count += 1
        return step

    def note(
        self, key: Key, arrays: Sequence[Array], function: Function, args: Args, kwargs: Kwargs
    ) -> object:
        """The result of an op, which waits if it may."""
        before = self.step
        step = before.next.get(key)
        if step is None:
            step = self._meet(key, len(arrays), function, args, kwargs)
        if not step.noted:
            return function(*map(settled, args), **kwargs)
        if arrays:
            place = before.place + 1
            for array in arrays:
                self.values[place] = array
                place += 1
        self.step = step
        if step.truth:
            return DeferredTruth(self, step, function, args, kwargs)
        return DeferredBox(self, step, function, (args, kwargs))

    def _meet(self, key: Key, inputs: int, function: Function, args: Args, kwargs: Kwargs) -> Step:
        """The step of an op that has not been here before."""
        before = self.step
        result = function(*map(settled, args), **kwargs)
        boxed = type(result) in BOXES
        truth = not boxed and getattr(result, "dtype", None) == np.bool_
        if boxed or truth:
            inner = result._value if boxed else result
            step = Step(before, key, inputs, np.shape(inner), inner.dtype)
        else:  # several results, or one without a gradient
            step = Step(before, key, inputs, (), None)
        step.truth = truth
        step.noted = False
        if self.formulas.has_room(before, key) and before is self.step:
            step.noted = (boxed or truth) and self.formulas.lowers(step)
            before.next[key] = step
            self.formulas.count += 1
        return step


def settled(value: Any) -> Any:
    """A value that waits, computed now, as a box or array of the ordinary kind."""
    kind = type(value)
    if kind is DeferredBox:
        return ArrayBox(value._value, value._trace, value._node)
    return value.value if kind is DeferredTruth else value


class Paused(Formula):
    """A formula while its tape does not record: nothing waits."""

    __slots__ = ()

    def note(
        self, key: Key, arrays: Sequence[Array], function: Function, args: Args, kwargs: Kwargs
    ) -> object:
        """The result of an op, now."""
        return function(*map(settled, args), **kwargs)


@contextmanager
def paused_formula(formula: Formula | None) -> Iterator[None]:
    """Inside, nothing is noted in a formula."""
    if formula is None or type(formula) is not Formula:
        yield
        return
    step = formula.step
    formula.step = Step(None, (), 0, (), None)  # no step follows, so the core notes none
    formula.__class__ = Paused
    try:
        yield
    finally:
        formula.__class__ = Formula
        formula.step = step


class Watched(Formula):
    """In the place of the formula of a box that another tape watches: nothing waits any more.

    What was noted before goes on with the box as it was.
    """

    __slots__ = ("before",)

    def __init__(self, formulas: Formulas, before: ArrayBox) -> None:
        super().__init__(formulas, -1)
        self.step = Step(None, (), 0, (), None)  # no step follows, so the core notes none
        self.before = before

    def note(
        self, key: Key, arrays: Sequence[Array], function: Function, args: Args, kwargs: Kwargs
    ) -> object:
        """The result of an op, now."""
        return function(*map(settled, args), **kwargs)


def _as_noted(value: Any) -> Any:
    """`settled`, of a box as it was when an op on it was noted."""
    if type(value) is DeferredBox and type(value._formula) is Watched:
        return value._formula.before
    return settled(value)


class DeferredBox(ArrayBox):  # type: ignore[misc]
    """A box of a tape that may wait to be computed."""

    _trace: int
    _value: Any
    _node: Any
    __slots__ = ("_formula", "_how", "_is_known", "_source", "_step")

    def __init__(self, formula: Formula, step: Step, source: Any, how: Any) -> None:
        self._is_known = False
        self._trace = formula.trace  # type: ignore[misc]  # a slot of the base
        self._formula = formula
        self._step = step
        self._source = source  # a function; for the output of a model what made it
        self._how: Any = how  # its arguments; None for the output of a model

    def __getattr__(self, name: str) -> Any:
        if name == "_node":
            if self._how is None:
                self._node = self._source.node()
            else:
                self._compute()
            return self._node
        if name == "_value":
            known = self._formula.numbers.get(self._step.place)
            if known is None:
                self._compute()
            else:
                self._value, self._is_known = known, True
            return self._value
        raise AttributeError(f"'{ArrayBox.__name__}' object has no attribute '{name}'")

    def _compute(self) -> None:
        args, kwargs = self._how
        with not_paused(self._trace):
            result = self._source(*map(_as_noted, args), **kwargs)
        if type(result) in BOXES:
            value, self._node = result._value, result._node
        else:
            value, self._node = result, new_node()
        if not self._is_known:  # by a program
            self._value, self._is_known = value, True

    shape = property(lambda self: self._step.shape)
    dtype = property(lambda self: self._step.dtype)
    ndim = property(lambda self: len(self._step.shape))

    def program(self) -> Any:
        """What runs the formula natively as a whole, or None."""
        step = self._step
        program = step.program
        if program is None:
            program = step.program = self._formula.formulas.program(step.path()) or False
        return program or None

    def watch(self, trace: int) -> None:
        """Become a box of another trace, around what it was."""
        before = settled(self)
        self._formula = Watched(self._formula.formulas, before)
        self._value, self._is_known = before, True
        self._trace, self._node = trace, new_node()  # type: ignore[misc]

    def learn(self, value: Array) -> None:
        """Take a value that a program found, unless the box has been looked at before."""
        if not self._is_known:
            self._value, self._is_known = value, True

    def _dk_apply(self, function: Function, args: Args, kwargs: Kwargs) -> object:
        """An op of `densekit.ops` on this box and others."""
        return apply(self._formula, function, args, kwargs)

    def __getitem__(self, index: object) -> object:
        token = index_token(index)
        if token is None:
            return ArrayBox.__getitem__(settled(self), settled(index))
        key = ("getitem", SLOTS[self._step.place], token)
        return self._formula.note(key, (), ArrayBox.__getitem__, (self, index), {})

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: object, **kwargs: object) -> object:
        # What ``array - box`` becomes.
        if method == "__call__" and len(inputs) == 2 and inputs[1] is self and not kwargs:
            reflected = _REFLECTED_UFUNCS.get(ufunc)
            if reflected is not None and type(inputs[0]) in _ARRAYS:
                return getattr(self, reflected)(inputs[0])
        given = map(settled, inputs)
        return settled(self).__array_ufunc__(ufunc, method, *given, **kwargs)

    __hash__ = ArrayBox.__hash__


class DeferredTruth:
    """What a comparison of boxes gives; an array as soon as anything but an op looks at it."""

    __slots__ = ("_formula", "_how", "_step", "_value")

    def __init__(
        self, formula: Formula, step: Step, function: Function, args: Args, kwargs: Kwargs
    ) -> None:
        self._formula, self._step = formula, step
        self._how = function, args, kwargs
        self._value: Any = None

    @property
    def value(self) -> Any:
        """The array."""
        if self._value is None:
            function, args, kwargs = self._how
            self._value = function(*map(_as_noted, args), **kwargs)
        return self._value

    def _dk_apply(self, function: Function, args: Args, kwargs: Kwargs) -> object:
        return apply(self._formula, function, args, kwargs)

    def __array__(self, dtype: DTypeLike = None, copy: bool | None = None) -> Array:
        return np.array(self.value, dtype)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.value, name)


def apply(formula: Formula, function: Function, args: Args, kwargs: Kwargs) -> object:
    """An op on values of which one waits."""
    tokens: list[object] = [function]
    arrays: list[Array] = []
    kept: list[object] = []
    for value in args:
        kind = type(value)
        if kind is DeferredBox or kind is DeferredTruth:
            if value._formula is not formula:
                return function(*map(settled, args), **kwargs)
            tokens.append(SLOTS[value._step.place])
        elif kind in _ARRAYS:
            value = value.copy()
            arrays.append(value)
            tokens.append((value.shape, value.dtype))
        else:
            token = setting(value)
            if token is None:
                return function(*map(settled, args), **{k: settled(v) for k, v in kwargs.items()})
            tokens.append(token)
        kept.append(value)
    for name, value in kwargs.items():
        token = setting(value)
        if token is None:
            return function(*map(settled, args), **{k: settled(v) for k, v in kwargs.items()})
        tokens.append((name, token))
    return formula.note(tuple(tokens), arrays, function, kept, kwargs)


def _binary(name: str, own: Function) -> Function:
    """``box + other`` and its like; `own` is what boxes of the ordinary kind do."""

    def method(self: DeferredBox, other: Any) -> object:
        formula, kind = self._formula, type(other)
        if kind in _NUMBERS:
            return formula.note(
                (name, SLOTS[self._step.place], (kind, other or repr(other))),
                *((), own, (self, other), {}),
            )
        if kind in _ARRAYS:
            other = other.copy()
            key = (name, SLOTS[self._step.place], (other.shape, other.dtype))
            return formula.note(key, (other,), own, (self, other), {})
        if (kind is DeferredBox or kind is DeferredTruth) and other._formula is formula:
            key = (name, SLOTS[self._step.place], SLOTS[other._step.place])
            return formula.note(key, (), own, (self, other), {})
        return own(settled(self), settled(other))

    method.__name__ = f"__{name}__"
    return method


def _unary(name: str, own: Function) -> Function:
    def method(self: DeferredBox) -> object:
        return self._formula.note((name, SLOTS[self._step.place]), (), own, (self,), {})

    method.__name__ = f"__{name}__"
    return method


def _of_value(name: str) -> Function:
    """An operator of an array, for a truth that is no operand of an op."""

    def method(self: DeferredTruth, *others: object) -> object:
        return getattr(self.value, name)(*map(settled, others))

    method.__name__ = name
    return method


BINARY = ("add", "sub", "mul", "truediv", "pow", "lt", "le", "gt", "ge", "eq", "ne")
REFLECTED = ("radd", "rsub", "rmul", "rtruediv", "rpow")
UNARY = ("neg", "abs")


_REFLECTED_UFUNCS = {
    np.add: "__radd__",
    np.subtract: "__rsub__",
    np.multiply: "__rmul__",
    np.true_divide: "__rtruediv__",
    np.power: "__rpow__",
    np.less: "__gt__",
    np.less_equal: "__ge__",
    np.greater: "__lt__",
    np.greater_equal: "__le__",
}


def _prepare() -> None:
    teach_boxes()
    for name in (*BINARY, *REFLECTED):
        setattr(DeferredBox, f"__{name}__", _binary(name, getattr(ArrayBox, f"__{name}__")))
    for name in UNARY:
        setattr(DeferredBox, f"__{name}__", _unary(name, getattr(ArrayBox, f"__{name}__")))
    operators = "and or xor rand ror rxor invert add sub mul truediv pow radd rsub rmul rtruediv "
    operators += "rpow lt le gt ge eq ne neg abs bool int float index len iter getitem repr str"
    for name in operators.split():
        setattr(DeferredTruth, f"__{name}__", _of_value(f"__{name}__"))
    Box.types.add(DeferredBox)
    BOXES.add(DeferredBox)
    DEFERRED.update((DeferredBox, DeferredTruth))


_prepare()
