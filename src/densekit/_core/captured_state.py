"""`CapturedState`: what code of users reads besides its arguments, and whether it has changed.

A `call` that was followed into a plan is not run again. What it named outside of the tracked state
is in the plan: globals, variables of functions around it, attributes of objects and classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dis import get_instructions
from functools import cache, partial
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import TypeAlias, TypeVar, cast

import numpy as np

from densekit._core.functions import OURS, content_of, globals_in, package_of, variables_around
from densekit._core.tracked import TrackedLayer
from densekit._core.types import Array

T = TypeVar("T")
R = TypeVar("R")
_Space: TypeAlias = Mapping[str, object]
_Values: TypeAlias = dict[str, object]
_Container: TypeAlias = (
    list[object] | dict[object, object] | set[object] | tuple[object, ...] | frozenset[object]
)

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_METHODS = (FunctionType, property, classmethod, staticmethod)
_MISSING = object()
_STORES = frozenset({"STORE_GLOBAL", "STORE_DEREF", "STORE_ATTR", "DELETE_ATTR"})
_IN_PLACE = "[]"
# `add` and `sort` are ops, too.
_CHANGING = frozenset(
    {
        *("append", "extend", "insert", "update", "setdefault"),
        *("pop", "popitem", "remove", "discard", "clear", "reverse"),
    }
)
# These do not read what users may set.
_CLOSED = frozenset({OURS, "numpy", "jax", "jaxlib", "autograd", "builtins"})
_MOST_OBJECTS = 2_000
_MOST_ITEMS = 256  # of a list or dict
# Bytes. Comparing takes 1 us: no more than calls of models that have such arrays.
LARGEST_COMPARED = 1 << 14


class CapturedState:
    """What is reached from the code of some layers and functions, as it is now.

    An object's attribute counts if any of this code names it.

    Args:
        owners: layers, functions and objects with a `__call__`.
    """

    def __init__(self, owners: Iterable[object]) -> None:
        self._owners = [*owners]
        self.reads: set[str] = {"call", "__call__"}  # attributes that code names
        self._written: set[str] = set()  # and that it sets itself
        known = 0
        while known != len(self.reads) + len(self._written):
            # What is named later may be an attribute of what was met.
            known = len(self.reads) + len(self._written)
            self._spaces: list[tuple[_Space, _Values]] = []
            self._methods: list[tuple[_Space, _Values]] = []  # of classes
            self._cells: dict[int, tuple[CellType, object]] = {}
            self._items: dict[int, tuple[_Container, list[object]]] = {}
            self._arrays: dict[int, tuple[Array, bytes]] = {}
            self._met: dict[int, object] = {}
            self._seen: set[int] = set()  # classes
            waiting = [*self._owners]
            while waiting and len(self._met) < _MOST_OBJECTS:
                waiting += self._look_into(waiting.pop())
        del self._met, self._seen, self._owners

        # One look-up each, as a call of a small model takes no longer than some of them.
        self._flat = [(s.get, n, v) for s, values in self._spaces for n, v in values.items()]
        self._is_flat = not (self._cells or self._items or self._arrays)
        self.has_values = bool(self._flat) or not self._is_flat

    def __bool__(self) -> bool:
        """Whether there is anything that could change: values, or methods of classes."""
        return self.has_values or bool(self._methods)

    def hold(self) -> bool:
        """Whether all is as it was."""
        for space, methods in self._methods:
            if not all(space.get(name) is method for name, method in methods.items()):
                return False
        return self.values_hold()

    def values_hold(self) -> bool:
        """The same, but for methods of classes."""
        for get, name, value in self._flat:
            now = get(name, _MISSING)
            if now is not value:
                return self._look_again()
        return self._is_flat or self._contents_hold()

    def _look_again(self) -> bool:
        """What are other objects may be equal numbers."""
        now = [get(name, _MISSING) for get, name, _ in self._flat]
        for one, (_, _, value) in zip(now, self._flat, strict=True):
            if one is not value and not _equal(one, value):
                return False
        self._flat = [(g, n, v) for (g, n, _), v in zip(self._flat, now, strict=True)]
        return self._is_flat or self._contents_hold()

    def _contents_hold(self) -> bool:
        for cell, value in self._cells.values():
            now = content_of(cell)
            if now is not value and not _equal(now, value):
                return False
        for container, items in self._items.values():
            contents = _items_of(container)
            if len(contents) != len(items):
                return False
            if not all(a is b or _equal(a, b) for a, b in zip(contents, items, strict=True)):
                return False
        return all(array.tobytes() == value for array, value in self._arrays.values())

    def guarded(self, call: Callable[[T], R]) -> Callable[[T], R]:
        """`call`, or NotImplemented once a value has changed."""
        hold = self.values_hold

        def unless_changed(rows: T) -> R:
            return call(rows) if hold() else NotImplemented

        return unless_changed

    # Looking

    def _look_into(self, value: object) -> list[object]:
        """Note what of a value may change; what hangs on it."""
        if isinstance(value, _PLAIN) or id(value) in self._met or isinstance(value, ModuleType):
            return []
        self._met[id(value)] = value
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, MethodType):
            return [value.__func__, value.__self__]
        if isinstance(value, partial):
            return [value.func, *value.args, *value.keywords.values()]
        if isinstance(value, classmethod | staticmethod):
            return [value.__func__]
        if isinstance(value, property):
            return [value.fget]
        if isinstance(value, list | dict | set | tuple | frozenset):
            return self._container(value)
        if isinstance(value, np.ndarray):
            if value.dtype != object and value.nbytes <= LARGEST_COMPARED and value.flags.writeable:
                self._arrays[id(value)] = value, value.tobytes()
            return []
        return self._object(value)

    def _function(self, function: FunctionType) -> list[object]:
        if package_of(function) in _CLOSED:
            return []
        code = function.__code__
        notes = _written_in(code)
        self._written |= notes
        self.reads = (self.reads | _names_in(code)) - self._written
        around = function.__globals__
        named = {n: around[n] for n in globals_in(code) if n in around and n not in notes}
        named = {n: value for n, value in named.items() if not isinstance(value, ModuleType)}
        if named:
            self._spaces.append((around, named))
        found = [*named.values()]
        for name, cell in variables_around(function).items():
            if name != "__class__" and name not in notes:
                content = content_of(cell)
                self._cells[id(cell)] = cell, content
                found.append(content)
        if _IN_PLACE in notes:  # it may be what it collects in, not what it reads
            lists = [value for value in found if isinstance(value, list | dict | set)]
            self._met |= {id(value): value for value in lists}
            found += [item for value in lists for item in _items_of(value)]
        return found

    def _container(self, value: _Container) -> list[object]:
        if len(value) > _MOST_ITEMS:
            return []
        items = _items_of(value)
        # One that a layer tracks tells of its changes itself.
        if isinstance(value, list | dict | set) and getattr(value, "_tracker", None) is None:
            self._items[id(value)] = value, items
        return items

    def _object(self, value: object) -> list[object]:
        """Of a layer its attributes: setting them is told. Of other objects what code names."""
        found: list[object] = []
        space = getattr(value, "__dict__", None)
        kinds = value.__mro__ if isinstance(value, type) else type(value).__mro__
        own = [kind for kind in kinds if package_of(kind) not in _CLOSED]
        for kind in own:
            self._look_at_class(kind)
            found += [vars(kind)[name] for name in self.reads & vars(kind).keys()]
        if isinstance(value, type) or type(space) is not dict:
            return found
        named = {name: space[name] for name in self.reads & space.keys()} if own else {}
        if isinstance(value, TrackedLayer):
            called = [v for n, v in space.items() if n[:4] != "_dk_" and _may_run(n, v)]
            return [*found, *called, *named.values()]
        missing = {n for kind in own for n in self.reads & vars(kind).keys()} - space.keys()
        if named or missing:
            self._spaces.append((space, named | dict.fromkeys(missing, _MISSING)))
        return [*found, *named.values()]

    def _look_at_class(self, kind: type) -> None:
        if id(kind) in self._seen:
            return
        self._seen.add(id(kind))
        space = cast("_Space", vars(kind))
        named = {name: space[name] for name in self.reads & space.keys()}
        methods: _Values = {name: v for name, v in named.items() if isinstance(v, _METHODS)}
        values = {name: v for name, v in named.items() if name not in methods}
        if methods:
            self._methods.append((space, methods))
        if values:
            self._spaces.append((space, values))


def _may_run(name: str, value: object) -> bool:
    """Whether an attribute of a layer is, or holds, code of users that is called."""
    if isinstance(value, list | dict | tuple):
        return name[0] != "_"
    if isinstance(value, FunctionType):
        return package_of(value) not in _CLOSED
    kind = type(value)
    return kind in (MethodType, partial) or (callable(value) and package_of(kind) not in _CLOSED)


@cache
def _names_in(code: CodeType) -> frozenset[str]:
    """What code names: globals and attributes."""
    names = set(code.co_names)
    for part in code.co_consts:
        if isinstance(part, CodeType):
            names |= _names_in(part)
    return frozenset(names)


@cache
def _written_in(code: CodeType) -> frozenset[str]:
    """Names that code sets, and `_IN_PLACE` if it changes what it is given.

    What it notes in its calls is nothing that it depends on.
    """
    found = {str(i.argval) for i in get_instructions(code) if i.opname in _STORES}
    changes = any(i.opname in ("STORE_SUBSCR", "DELETE_SUBSCR") for i in get_instructions(code))
    if changes or not _CHANGING.isdisjoint(code.co_names):
        found.add(_IN_PLACE)
    for part in code.co_consts:
        if isinstance(part, CodeType):
            found |= _written_in(part)
    return frozenset(found)


def _items_of(value: _Container) -> list[object]:
    return [*value.values()] if isinstance(value, dict) else [*value]


def _equal(one: object, two: object) -> bool:
    return type(one) is type(two) and isinstance(one, _PLAIN) and one == two
