"""What operators and ops mean in a followed step: on symbols, inside of its tape and outside."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from densekit._core import tree
from densekit._core.plan import NotLowerable
from densekit._core.types import Array
from densekit._core.variable import Variable
from densekit.ops import KerasTensor, stop_gradient
from densekit.training._step_reads import Reads
from densekit.training._step_values import ROWS, BatchLoss, Combined, Once, OpenTape

_COLLECTIONS = frozenset({tuple, list, dict})
_ITERATORS = (zip, enumerate, reversed)
MAKES = (list, tuple, *_ITERATORS)
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
        self._recorded: set[int] = set()  # tensors that a tape knows, by id
        self._constant: dict[int, KerasTensor] = {}  # by id: others as a tape sees them
        self._keep: list[object] = [*data]  # what ids are of
        self._made: set[int] = set()  # lists and dicts of the step, by id
        self._tape: OpenTape | None = None
        self._had_tape = False

    # What is whose

    def is_data(self, x: object) -> bool:
        """Whether a tensor is a column of the data."""
        return id(x) in self._data

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
        if isinstance(value, tuple | list | dict) and self._is_fixed(value):
            return value
        raise NotLowerable("it goes through something that may be another one in each step")

    def ask(self, what: Callable[..., object], value: object, *kinds: object) -> object:
        """The length of a collection, or whether a value is one."""
        if what is len and self._is_fixed(value):
            return len(value)  # type: ignore[arg-type]
        known = is_plain(value) or isinstance(value, KerasTensor) or self._is_fixed(value)
        named = kinds[0] if kinds and isinstance(kinds[0], tuple) else kinds
        if what is isinstance and known and named and {*named} <= _COLLECTIONS:
            return any(isinstance(value, kind) for kind in _COLLECTIONS if kind in named)
        raise NotLowerable(f"it calls `{what.__name__}`")

    def make(self, kind: type, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
        given = [self.items(arg) for arg in args]
        try:
            made: Iterable[object] = kind(*given, **kwargs)
            return Once(made) if kind in _ITERATORS else self.made(made)
        except (TypeError, ValueError) as error:
            raise NotLowerable(str(error)) from None

    # The tape

    def open(self, tape: OpenTape) -> None:
        """What follows is recorded."""
        if self._had_tape:
            raise NotLowerable("it has several tapes")
        self._tape, self._had_tape = tape, True

    def close(self) -> None:
        """The tape ends."""
        self._tape = None

    def _inside(self, x: object) -> object:
        """A tensor as the tape sees it: it knows nothing of what was computed before."""
        if not isinstance(x, KerasTensor):
            return x
        if self._tape is None:
            if id(x) in self._recorded:
                raise NotLowerable("it computes with what a tape recorded, after it")
            return x
        if id(x) in self._recorded or id(x) in self._data or "float" not in x.dtype:
            return x
        if id(x) not in self._constant:
            constant: object = stop_gradient(x)
            assert isinstance(constant, KerasTensor)
            self._constant[id(x)] = constant
        return self._constant[id(x)]

    def _result(self, value: object) -> object:
        """What an op or a model gave."""
        for x in tree.flatten(value):
            if not isinstance(x, KerasTensor) or x.shape[:1] != (None,) or None in x.shape[1:]:
                raise NotLowerable("it computes something else than one row for each row")
            self._keep.append(x)
            if self._tape is not None:
                self._recorded.add(id(x))
        if isinstance(value, list | dict):
            self.made(value)
        return value

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
            return self._combine(formula.__name__.strip("_"), operands)
        raise NotLowerable(f"it computes with {', '.join(type(x).__name__ for x in operands)}")

    def _combine(self, name: str, operands: Sequence[object]) -> Combined:
        """What is linear in numbers of the batch."""
        given = [x for x in operands if isinstance(x, BatchLoss | int | float)]
        numbers = [x for x in given if not isinstance(x, BatchLoss)]
        scales = name in ("mul", "truediv")
        known = len(given) == len(operands) and all(map(is_plain, numbers))
        if name not in _LINEAR or not known or self._tape is None:
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
        if isinstance(of, tuple | list | dict) and self._is_fixed(of):
            try:
                found = of[index]  # type: ignore[call-overload]
                return self.made(found) if isinstance(index, slice) else found
            except (LookupError, TypeError) as error:
                raise NotLowerable(str(error)) from None
        raise NotLowerable(f"it looks into {type(of).__name__}")

    def shape_of(self, x: KerasTensor) -> tuple[object, ...]:
        """Sizes of a tensor, of which the first is another one in other batches."""
        return (ROWS, *x.shape[1:])

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
        if self._tape is None and name not in _EXACT:
            raise NotLowerable(f"`{name}` is computed outside of a tape")
        given = [tree.map_structure(self._inside, x) for x in args]
        named = {key: tree.map_structure(self._inside, x) for key, x in kwargs.items()}
        return self._result(formula(*given, **named))
