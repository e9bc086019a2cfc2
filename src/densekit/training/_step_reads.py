"""What a followed step read: names and attributes, which must still be the same objects."""

from __future__ import annotations

import builtins
from operator import is_
from types import CellType, FunctionType, MethodType, ModuleType
from typing import NamedTuple

from densekit._core.captured_state import LARGEST_COMPARED
from densekit._core.functions import NOTHING, OURS, content_of, package_of, variables_around
from densekit._core.plan import NotLowerable
from densekit._core.types import Array
from densekit.layers import Layer
from densekit.metrics import Metric
from densekit.optimizers import Optimizer

# What a layer or model says of its parts: it holds until its tracker moves.
OF_PARTS = frozenset(
    {
        *("trainable_variables", "trainable_weights", "variables", "weights"),
        *("metrics", "_loss_tracker"),
    }
)
_PLAIN = frozenset({int, float, str, bool, type(None)})
_MISSING = object()
_READ = object.__getattribute__


class Method:
    """A method of an object, not yet called."""

    __slots__ = ("function", "owner")

    def __init__(self, owner: object, function: FunctionType) -> None:
        self.owner, self.function = owner, function


class Property(Method):
    """A property of an object that a user wrote, not yet read."""

    __slots__ = ()


class Super(NamedTuple):
    """``super()``: an object as the classes behind one have it."""

    kind: type
    owner: object


class Reads:
    """Notes what is read, to say later whether it still holds."""

    def __init__(self) -> None:
        self._named: dict[tuple[int, str], tuple[dict[str, object], str, object]] = {}
        self._spaces: list[tuple[dict[str, object], list[str], list[object]]] = []
        self._cells: list[tuple[CellType, object]] = []
        self._of_types: dict[tuple[type, str], object] = {}
        self._owners: dict[int, tuple[object, type, object]] = {}  # by id, as they were
        self._codes: list[tuple[FunctionType, object, object]] = []
        self._arrays: dict[int, tuple[Array, bytes]] = {}  # by id, with their contents
        # Lists and dicts, by id, with what is in them.
        self._contents: dict[int, tuple[list[object] | dict[object, object], list[object]]] = {}
        self.layers: dict[int, Layer] = {}  # whose parts were looked at, by id

    def settle(self) -> None:
        """No more is read: put in order what `hold` looks at."""
        by_space: dict[int, tuple[dict[str, object], list[str], list[object]]] = {}
        for space, name, value in self._named.values():
            _, names, values = by_space.setdefault(id(space), (space, [], []))
            names.append(name)
            values.append(value)
        self._spaces = [(s, names, values) for s, names, values in by_space.values()]

    def hold(self) -> bool:
        """Whether all that was read is still the same."""
        for space, names, values in self._spaces:
            if not all(map(is_, [space.get(name, _MISSING) for name in names], values)):
                return False
        for of, kind, attributes in self._owners.values():
            if type(of) is not kind or vars(of) is not attributes:
                return False
        for cell, value in self._cells:
            if content_of(cell) is not value:
                return False
        for (kind, name), value in self._of_types.items():
            if getattr(kind, name, _MISSING) is not value:
                return False
        for function, code, defaults in self._codes:
            if function.__code__ is not code or function.__defaults__ is not defaults:
                return False
        for of, items in self._contents.values():
            now = _items_of(of)
            if len(now) != len(items) or not all(map(is_, now, items)):
                return False
        return all([array.tobytes() == contents for array, contents in self._arrays.values()])

    def contents(self, of: list[object] | dict[object, object]) -> None:
        """What is in a list or dict is read, which anybody may change."""
        if type(of) not in (list, dict) and not is_ours(type(of)):
            raise NotLowerable("it goes through something that may be another one in each step")
        self._contents[id(of)] = of, _items_of(of)

    def array(self, array: Array) -> None:
        """The elements of an array are read, which anybody may change in place."""
        if array.dtype == object or array.nbytes > LARGEST_COMPARED:
            raise NotLowerable("it computes with a large array, or one of objects")
        self._arrays[id(array)] = array, array.tobytes()

    def function(self, function: FunctionType) -> None:
        """A function is read as its code is now."""
        if function.__kwdefaults__:
            raise NotLowerable(f"`{function.__name__}` has defaults of keywords")
        self._codes.append((function, function.__code__, function.__defaults__))

    def free(self, function: FunctionType, name: str) -> object:
        """A variable of the function around it."""
        cell = variables_around(function)[name]
        value = content_of(cell)
        if value is NOTHING:
            raise NotLowerable(f"`{name}` has no value yet")
        self._cells.append((cell, value))
        return value

    def name(self, function: FunctionType, name: str) -> object:
        """A global or built-in name."""
        space = function.__globals__
        if name not in space:
            self._note(space, name, _MISSING)
            space = vars(builtins)
        if name not in space:
            raise NotLowerable(f"`{name}` is not defined")
        return self._note(space, name, space[name])

    def of_kind(self, of: object, name: str) -> object:
        """What the class of an object has under a name."""
        value: object = getattr(type(of), name)
        self._of_types[type(of), name] = value
        return value

    def _note(self, space: dict[str, object], name: str, value: object) -> object:
        self._named[id(space), name] = space, name, value
        return value

    def attribute(self, of: object, name: str) -> object:
        """An attribute of an object that is no tensor.

        Raises:
            NotLowerable: if it is not known what reading it does.
        """
        if isinstance(of, Super):
            return self._inherited(of, name)
        if isinstance(of, ModuleType):
            if name in vars(of):
                return self._note(vars(of), name, vars(of)[name])
            if of.__name__.partition(".")[0] == OURS:
                return getattr(of, name)
            raise NotLowerable(f"it reads `{of.__name__}.{name}`")
        space = getattr(of, "__dict__", None)
        if type(space) is not dict or isinstance(of, type):
            raise NotLowerable(f"it reads `{name}` of {type(of).__name__}")
        self._owners[id(of)] = of, type(of), space
        value = getattr(type(of), name, _MISSING)
        if isinstance(value, property) and isinstance(value.fget, FunctionType):
            if not is_ours(value.fget):
                self._of_types[type(of), name] = value
                return Property(of, value.fget)
            if isinstance(of, Layer) and name in OF_PARTS:
                self.layers[id(of)] = of
                return getattr(of, name)
            if isinstance(of, Metric) and name == "variables":
                return list(of.variables)
        if isinstance(of, Layer | Metric | Optimizer) and name == "name":
            return of.name
        if hasattr(type(value), "__set__") or type(of).__getattribute__ is not _READ:
            raise NotLowerable(f"it reads `{name}` of {type(of).__name__}")
        if name in space:
            return self._note(space, name, space[name])
        if isinstance(value, FunctionType):
            bound = getattr(of, name)
            if not isinstance(bound, MethodType) or bound.__self__ is not of:
                raise NotLowerable(f"it calls `{name}`")
            self._note(space, name, _MISSING)
            self._of_types[type(of), name] = value
            return Method(of, value)
        if value is not _MISSING and not hasattr(type(value), "__get__"):
            self._note(space, name, _MISSING)
            self._of_types[type(of), name] = value
            return value
        raise NotLowerable(f"it reads `{name}` of {type(of).__name__}")

    def _inherited(self, of: Super, name: str) -> Method:
        """A method of a class behind the one that asks."""
        order = type(of.owner).__mro__
        if of.kind not in order:
            raise NotLowerable("it calls `super` of another object")
        for kind in order[order.index(of.kind) + 1 :]:
            value = vars(kind).get(name)
            if isinstance(value, FunctionType):
                self._of_types[kind, name] = value
                self._owners[id(of.owner)] = of.owner, type(of.owner), vars(of.owner)
                return Method(of.owner, value)
            if value is not None:
                break
        raise NotLowerable(f"it reads `{name}` of `super()`")


def _items_of(of: list[object] | dict[object, object]) -> list[object]:
    return [part for pair in of.items() for part in pair] if isinstance(of, dict) else list(of)


def is_ours(function: object) -> bool:
    """Whether the package defines a function, or the class of an object: it is known."""
    return package_of(function) == OURS
