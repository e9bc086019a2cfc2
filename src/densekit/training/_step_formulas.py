"""What operators and ops mean in a followed step: on symbols, inside of its tape and outside."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FunctionType

import numpy as np

from densekit._core import tree
from densekit._core.plan import NotLowerable
from densekit._core.types import Array
from densekit._core.variable import Variable
from densekit.layers import Layer
from densekit.losses import Loss
from densekit.ops import KerasTensor, concatenate, stop_gradient
from densekit.training._step_reads import Reads
from densekit.training._step_values import (
    ALL_METRICS,
    BatchLoss,
    Combined,
    Made,
    MetricValue,
    Once,
    OpenTape,
    rows_of_batches,
)

_COLLECTIONS = frozenset({tuple, list, dict})
_ITERATORS = (zip, enumerate, reversed)
MAKES = (list, tuple, range, *_ITERATORS)
_PLAIN = frozenset({int, float, str, bool, type(None)})
# Outside of a tape NumPy computes: the core has the same bits for what rounds once, or not at all.
_EXACT = frozenset(
    {
        *("max", "min", "amax", "amin", "maximum", "minimum", "argmax", "argmin", "clip"),
        *("add", "subtract", "multiply", "divide", "true_divide", "negative", "absolute", "abs"),
        *("where", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal"),
        *("take_along_axis", "get_item", "getitem", "reshape", "squeeze", "expand_dims"),
        *("stop_gradient", "concatenate", "neg", "sub", "mul", "truediv"),
        *("zeros_like", "ones_like"),
        *("eq", "ne", "lt", "le", "gt", "ge"),
    }
)
# What numbers of the batch are combined by.
_LINEAR = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "neg": "negative",
}
# What gives an array of its own; others may give a view of what they take.
_OWN_MEMORY = frozenset(
    {
        *("concatenate", "add", "subtract", "multiply", "divide", "sub", "mul", "truediv", "neg"),
        *("where", "maximum", "minimum", "normal", "uniform", "zeros", "ones", "abs", "absolute"),
    }
)
# The same as ops.
OF_NUMBERS = {"add": "add", "subtract": "sub", "multiply": "mul", "negative": "neg"} | {
    name: "truediv" for name in ("divide", "true_divide")
}
# Where integers and floats may meet: the result has the type of the floats.
_MIXED = frozenset({"take_along_axis", "where"})


def is_plain(value: object) -> bool:
    """Whether a value is a number or text that nobody changes; NumPy's numbers are others."""
    return type(value) in _PLAIN


class Change:
    """``list.append`` or ``extend`` of a list of the step's own, not yet called."""

    def __init__(self, of: list[object], name: str) -> None:
        self._of, self.name = of, name

    def make(self, value: object) -> None:
        """Call it."""
        getattr(self._of, self.name)(value)


class StepFormulas:
    """Follows the formulas of one step.

    Args:
        data: the columns of the data, as symbols.
        variables: whose values it may compute with.
    """

    def __init__(self, data: Sequence[KerasTensor], variables: Sequence[Variable]) -> None:
        self.reads = Reads()
        self._own = {id(v) for v in variables}
        self._data = {id(x): i for i, x in enumerate(data)}
        self._recorded: dict[int, frozenset[OpenTape]] = {}  # tapes that know a tensor, by id
        self._constant: dict[int, KerasTensor] = {}  # by id: others as a tape sees them
        self.how: dict[int, Made] = {}  # what tensors were made by, by id
        self._batches: dict[int, int] = {}  # how many were joined in a tensor, by id; else one
        self._changed: set[int] = set()  # tensors that were changed in place, by id
        self._keep: list[object] = [*data]  # what ids are of
        self._made: set[int] = set()  # lists and dicts of the step, by id
        self._tapes: list[OpenTape] = []  # that record, the innermost last

    # What is whose

    def is_data(self, x: object) -> bool:
        """Whether a tensor is a column of the data."""
        return id(x) in self._data

    def is_exact(self, name: str) -> bool:
        """Whether an op on rows has the same bits in a plan and in NumPy."""
        return name in _EXACT

    def is_recorded(self, x: object) -> bool:
        """Whether a tape knows a tensor."""
        return id(x) in self._recorded

    def made(self, value: object) -> object:
        """A list or dict that the step made."""
        self._keep.append(value)
        self._made.add(id(value))
        return value

    def is_made(self, value: object) -> bool:
        """Whether nobody but the step has a list or dict."""
        return id(value) in self._made

    def _is_fixed(self, value: object) -> bool:
        """Whether a list or tuple has the same entries in each step."""
        return isinstance(value, tuple) or self.is_made(value)

    def items(self, value: object) -> Iterable[object]:
        """What a loop goes through: the same things in each step.

        Raises:
            NotLowerable: if somebody else may change it.
        """
        if isinstance(value, Once):
            return value.take()
        if isinstance(value, tuple | list | dict):
            if not isinstance(value, tuple) and not self.is_made(value):
                self.reads.contents(value)
            return value
        raise NotLowerable("it goes through something that may be another one in each step")

    def ask(self, what: Callable[..., object], value: object, *kinds: object) -> object:
        """The length of a collection, or whether a value is one."""
        if what is len and self._is_fixed(value):
            return len(value)  # type: ignore[arg-type]
        if what is isinstance and kinds and isinstance(value, Loss | Layer | FunctionType):
            asked = kinds[0] if isinstance(kinds[0], tuple) else kinds
            if all(type(kind) is type for kind in asked):
                return isinstance(value, asked)  # type: ignore[arg-type]
        known = is_plain(value) or isinstance(value, KerasTensor) or self._is_fixed(value)
        named = kinds[0] if kinds and isinstance(kinds[0], tuple) else kinds
        if what is isinstance and known and named and {*named} <= _COLLECTIONS:
            return any(isinstance(value, kind) for kind in _COLLECTIONS if kind in named)
        raise NotLowerable(f"it calls `{what.__name__}`")

    def make(self, kind: type, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
        given = args if kind is range and all(map(is_plain, args)) else map(self.items, args)
        try:
            made: Iterable[object] = kind(*given, **kwargs)
            if kind is range:
                return self.made(list(made))
            return Once(made) if kind in _ITERATORS else self.made(made)
        except (TypeError, ValueError) as error:
            raise NotLowerable(str(error)) from None

    # Tapes

    def open(self, tape: OpenTape) -> None:
        """What follows is recorded."""
        if tape in self._tapes:
            raise NotLowerable("it enters a tape twice")
        self._tapes.append(tape)

    def close(self) -> None:
        """The innermost tape ends."""
        self._tapes.pop()

    def batches_of(self, x: object) -> int:
        """How many batches were joined in a tensor."""
        return self._batches.get(id(x), 1)

    def known(self, x: object) -> object:
        """A tensor, which is still what it was when it was made."""
        if id(x) in self._changed:
            raise NotLowerable("it uses an array that it has changed in place by another name")
        return x

    def _inside(self, x: object) -> object:
        """A tensor as the tapes see it: they know nothing of what was computed before."""
        if not isinstance(self.known(x), KerasTensor) or not self._tapes:
            return x
        assert isinstance(x, KerasTensor)
        if id(x) in self._data or "float" not in x.dtype:
            return x
        knows = self._recorded.get(id(x), frozenset())
        if knows.intersection(self._tapes):
            for tape in self._tapes:
                tape.misses = tape.misses or tape not in knows
            return x
        if id(x) not in self._constant:
            constant: object = stop_gradient(x)
            assert isinstance(constant, KerasTensor)
            self._constant[id(x)] = constant
            self._batches[id(constant)] = self.batches_of(x)
            self.how[id(constant)] = Made(stop_gradient, (x,), {}, [constant])
        return self._constant[id(x)]

    def _result(self, value: object, batches: int = 1, made: Made | None = None) -> object:
        """What an op or a model gave, for the rows of so many batches."""
        found: list[KerasTensor] = []
        for x in tree.flatten(value):
            if not isinstance(x, KerasTensor) or x.shape[:1] != (None,) or None in x.shape[1:]:
                raise NotLowerable("it computes something else than one row for each row")
            found.append(x)
            self._keep.append(x)
            self._batches[id(x)] = batches
            if self._tapes:
                self._recorded[id(x)] = frozenset(self._tapes)
        if made is not None:
            self.how.update((id(x), made._replace(results=found)) for x in found)
        if isinstance(value, list | dict):
            self.made(value)
        return value

    def keep_rows(self, tensors: Iterable[KerasTensor], batches: int) -> None:
        """Values inside of a call, of so many batches."""
        for x in tensors:
            self._keep.append(x)
            self._batches[id(x)] = batches

    def change(self, before: object, formula: Callable[..., object], by: object) -> object:
        """What ``x += y`` makes of an array of the step's own."""
        how = self.how.get(id(before))
        name = "" if how is None else getattr(how.function, "__name__", "")
        if not isinstance(before, KerasTensor) or name.strip("_") not in _OWN_MEMORY:
            raise NotLowerable("it changes an array in place")  # and all views of it
        if any(before is x for made in self.how.values() for x in _viewed(made)):
            raise NotLowerable("it changes an array in place of which it has views")
        after = self.operate(formula, before, by)
        if not isinstance(after, KerasTensor) or after.shape != before.shape:
            raise NotLowerable("it changes an array in place to another shape")
        self._changed.add(id(before))
        return after

    # Operators, items

    def operate(self, formula: Callable[..., object], *operands: object) -> object:
        """What an operator gives."""
        if any(isinstance(x, KerasTensor) for x in operands):
            return self._compute(formula, formula.__name__.strip("_"), operands, {})
        if all(map(is_plain, operands)):
            return formula(*operands)
        if formula is operator.add and all(map(self._is_fixed, operands)):
            try:
                return self.made(formula(*operands))  # lists or tuples, joined
            except TypeError as error:
                raise NotLowerable(str(error)) from None
        if any(isinstance(x, BatchLoss) for x in operands):
            return self.combine(formula.__name__.strip("_"), operands)
        raise NotLowerable(f"it computes with {', '.join(type(x).__name__ for x in operands)}")

    def combine(self, name: str, operands: Sequence[object]) -> Combined:
        """What is linear in numbers of the batch."""
        given = [x for x in operands if isinstance(x, BatchLoss | int | float)]
        numbers = [x for x in given if not isinstance(x, BatchLoss)]
        scales = name in ("mul", "truediv")
        known = len(given) == len(operands) and all(map(is_plain, numbers))
        if name not in _LINEAR or not known or not self._tapes:
            raise NotLowerable(f"`{name}` of a number of the batch")
        if scales and (not numbers or (name == "truediv" and numbers[0] is given[0])):
            raise NotLowerable(f"`{name}` of numbers of the batch")
        if not all(math.isfinite(x) for x in numbers) or (name == "truediv" and not numbers[0]):
            raise NotLowerable(f"`{name}` with a number that is none")
        return Combined(_LINEAR[name], tuple(given))

    def item(self, of: object, index: object) -> object:
        """What an index picks."""
        if isinstance(of, KerasTensor):
            parts = index if isinstance(index, tuple) else (index,)
            if not parts or parts[0] not in (slice(None), Ellipsis):
                raise NotLowerable("it picks rows")
            return self._compute(lambda x: x[index], "getitem", [of], {})
        if isinstance(of, tuple | list | dict):
            if not isinstance(of, tuple) and not self.is_made(of):
                self.reads.contents(of)
            if isinstance(of, dict) and ALL_METRICS in of and index not in of:
                return MetricValue(None, str(index))
            try:
                found = of[index]  # type: ignore[call-overload]
                return self.made(found) if isinstance(index, slice) else found
            except (LookupError, TypeError) as error:
                raise NotLowerable(str(error)) from None
        raise NotLowerable(f"it looks into {type(of).__name__}")

    def shape_of(self, x: KerasTensor) -> tuple[object, ...]:
        """Sizes of a tensor, of which the first is another one in other batches."""
        return (rows_of_batches(self.batches_of(x)), *x.shape[1:])

    def _operand(self, name: str, x: Variable | Array, rank: int) -> None:
        """An operand that has the same values for each row."""
        if isinstance(x, Variable):
            if id(x) not in self._own:
                raise NotLowerable(f"`{name}` is given a variable that is none of the model's")
        elif type(x) is np.ndarray:
            self.reads.array(x)
        else:
            raise NotLowerable(f"`{name}` is given an array of another class")
        if len(x.shape) >= rank:
            raise NotLowerable(f"`{name}` is given an array with values for each row")

    def _compute(
        self,
        formula: Callable[..., object],
        name: str,
        args: Sequence[object],
        kwargs: Mapping[str, object],
    ) -> object:
        leaves = tree.flatten((list(args), dict(kwargs)))
        tensors = [x for x in leaves if isinstance(x, KerasTensor)]
        rank = max(len(x.shape) for x in tensors)
        dtypes = {x.dtype for x in tensors}
        for x in leaves:
            if isinstance(x, Variable | np.ndarray):
                self._operand(name, x, rank)
                dtypes.add(str(x.dtype))
            elif isinstance(x, np.generic):
                dtypes.add(str(x.dtype))
            elif not (isinstance(x, KerasTensor) or is_plain(x)):
                raise NotLowerable(f"`{name}` is given more than tensors and numbers")
        if len(dtypes) > 1 and name not in _MIXED:
            raise NotLowerable(f"`{name}` joins different types")
        if "float" not in tensors[0].dtype and name in ("add", "sub", "mul", "truediv", "pow"):
            raise NotLowerable(f"`{name}` computes with {tensors[0].dtype}")
        if not self._tapes and name not in _EXACT:
            raise NotLowerable(f"`{name}` is computed outside of a tape")
        batches = {self.batches_of(x) for x in tensors}
        if len(batches) > 1:
            raise NotLowerable(f"`{name}` meets other numbers of rows")
        given = [tree.map_structure(self._inside, x) for x in args]
        named = {key: tree.map_structure(self._inside, x) for key, x in kwargs.items()}
        made = Made(formula, given, named, ())
        return self._result(formula(*given, **named), batches.pop(), made)

    def join(self, xs: object) -> object:
        """Batches one behind the other, as one of more rows."""
        parts = [self.known(x) for x in self.items(xs)]
        tensors = [x for x in parts if isinstance(x, KerasTensor)]
        if not tensors or len(tensors) < len(parts):
            raise NotLowerable("it joins rows with something else")
        first = tensors[0]
        if any((x.shape, x.dtype) != (first.shape, first.dtype) for x in tensors):
            raise NotLowerable("it joins rows of several types or shapes")
        joined = KerasTensor(first.shape, first.dtype)
        made = Made(concatenate, (tensors,), {"axis": 0}, ())
        return self._result(joined, sum(map(self.batches_of, tensors)), made)


def _viewed(made: Made) -> list[object]:
    """What a call may have given a view of."""
    if getattr(made.function, "__name__", "").strip("_") in _OWN_MEMORY:
        return []
    return tree.flatten((list(made.args), dict(made.kwargs)))
