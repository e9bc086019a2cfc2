"""`Kept`: what objects of a user hold in Python, whether it has changed, and back to it.

A definition that is traced runs once. What it counts, collects or draws in Python would happen once
for all steps: so who traces looks before and after.
"""

from __future__ import annotations

import random
import sys
import zlib
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cache, partial
from itertools import count
from operator import is_
from types import FunctionType, GeneratorType, MethodType, ModuleType
from typing import NamedTuple, TypeAlias

import numpy as np

from densekit._core.functions import (
    NOTHING,
    OURS,
    content_of,
    globals_in,
    package_of,
    variables_around,
)

_Parts: TypeAlias = dict[Hashable, object]  # by key, name or position

_MOST = 20_000  # objects that are looked at
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
# What is made by these modules keeps to itself what it holds.
_CLOSED = {OURS, "numpy", "jax", "jaxlib", *sys.stdlib_module_names} - {"__main__"}


class _View(NamedTuple):
    """How to look at a value, and how to make it what it was."""

    read: Callable[[], _Parts]
    write: Callable[[_Parts], None]
    names: bool = False  # whether its keys are names of the user's


class _Held(NamedTuple):
    value: object  # so that no other gets its id
    view: _View
    parts: _Parts
    name: str


class Kept:
    """What some objects hold, as it is now.

    Args:
        owners: whose attributes count.
        ignored: whether an attribute of an object of the package, by name, does not.
        code: whether what the methods of their classes name counts, too.
    """

    def __init__(
        self,
        owners: Iterable[object],
        ignored: Callable[[Hashable], bool] = lambda name: False,
        code: bool = False,
    ) -> None:
        self._ignored = cache(ignored)
        self._held: dict[int, _Held] = {}
        owners = list(owners)
        for owner in owners:
            self._hold(owner, self._attributes(owner), "")
        for held in list(self._held.values()):
            self._follow(held)
        for kind in dict.fromkeys(base for o in owners for base in type(o).__mro__):
            if code and not _is_closed(kind):
                self._find(kind, kind.__name__)

    def changed(self) -> list[str]:
        """The names of what is not what it was."""
        names: dict[str, None] = {}
        for _, view, before, name in self._held.values():
            now = view.read()
            if _identical(before, now):
                continue
            keys = [key for key in {**before, **now} if not _same(key, before, now)]
            if view.names:
                names |= {str(key): None for key in keys}
            elif keys:
                names[name] = None
        return list(names)

    def put_back(self) -> None:
        """Make it what it was."""
        for _, view, before, _ in self._held.values():
            now = view.read()
            if not all(_same(key, before, now) for key in {**before, **now}):
                view.write(before)

    def _hold(self, value: object, view: _View, name: str) -> _Held:
        held = self._held[id(value)] = _Held(value, view, view.read(), name)
        return held

    def _follow(self, held: _Held) -> None:
        for key, part in held.parts.items():
            self._find(part, str(key) if held.view.names else held.name)

    def _find(self, value: object, name: str) -> None:
        """Hold a value, and what it holds."""
        waiting = [(value, name)]
        while waiting and len(self._held) < _MOST:
            value, name = waiting.pop()
            if isinstance(value, _PLAIN) or id(value) in self._held:
                continue
            view = self._view(value)
            if view is not None:
                held = self._hold(value, view, name)
                for key, part in held.parts.items():
                    waiting.append((part, str(key) if view.names else name))

    def _view(self, value: object) -> _View | None:
        for kinds, view in _VIEWS:
            if isinstance(value, kinds):
                return view(value)
        return None if _is_closed(type(value)) else self._attributes(value)._replace(names=False)

    def _attributes(self, owner: object) -> _View:
        is_ours = any(package_of(base) == OURS for base in type(owner).__mro__)
        ignored = self._ignored
        slots = [
            name
            for base in type(owner).__mro__
            for name in _listed(vars(base).get("__slots__", ()))
            if not name.startswith("__")
        ]

        def read() -> _Parts:
            found: _Parts = {n: getattr(owner, n) for n in slots if hasattr(owner, n)}
            found |= getattr(owner, "__dict__", {})
            return {n: v for n, v in found.items() if not ignored(n)} if is_ours else found

        def write(parts: _Parts) -> None:
            for name in read().keys() - parts.keys():
                object.__delattr__(owner, str(name))
            for name, value in parts.items():
                object.__setattr__(owner, str(name), value)

        return _View(read, write, names=True)


def _of_dict(value: dict[Hashable, object]) -> _View:
    def write(parts: _Parts) -> None:
        value.clear()
        value.update(parts)

    return _View(lambda: dict(value), write)


def _of_list(value: list[object] | deque[object]) -> _View:
    def write(parts: _Parts) -> None:
        value.clear()
        value.extend(parts.values())

    return _View(lambda: dict(enumerate(value)), write)


def _of_set(value: set[Hashable]) -> _View:
    def write(parts: _Parts) -> None:
        value.clear()
        value.update(parts)

    return _View(lambda: dict.fromkeys(value), write)


def _fixed(read: Callable[[], _Parts]) -> _View:
    """A view of what cannot be made what it was."""
    return _View(read, lambda parts: None)


def _of_array(value: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> _View | None:
    if value.dtype == object:
        return None
    return _fixed(lambda: {"": zlib.crc32(np.ascontiguousarray(value).view(np.uint8).data)})


def _of_function(function: FunctionType) -> _View | None:
    """What it names: globals, and variables of the functions around it."""
    if _is_closed(function):
        return None
    names, around = globals_in(function.__code__), function.__globals__
    cells = variables_around(function)
    cells.pop("__class__", None)

    def read() -> _Parts:
        found: _Parts = {name: around[name] for name in names if name in around}
        inside = {name: content_of(cell) for name, cell in cells.items()}
        return found | {name: part for name, part in inside.items() if part is not NOTHING}

    def write(parts: _Parts) -> None:
        for name, value in parts.items():
            if name in cells:
                cells[str(name)].cell_contents = value
            else:
                around[str(name)] = value

    return _View(read, write, names=True)


def _of_class(kind: type) -> _View | None:
    if _is_closed(kind):
        return None

    def read() -> _Parts:
        found = {n: v for n, v in vars(kind).items() if not n.startswith(("__", "_abc_"))}
        return {n: v.fget if isinstance(v, property) else v for n, v in found.items()}

    return _View(read, lambda parts: None, names=True)


_VIEWS: Sequence[tuple[tuple[type, ...], Callable[..., _View | None]]] = (
    ((dict,), _of_dict),
    ((list, deque), _of_list),
    ((set,), _of_set),
    ((tuple, frozenset), lambda value: _fixed(lambda: dict(enumerate(value)))),
    ((np.ndarray,), _of_array),
    ((np.random.Generator,), lambda g: _fixed(lambda: {"": repr(g.bit_generator.state)})),
    ((np.random.RandomState,), lambda r: _fixed(lambda: {"": repr(r.get_state())})),
    ((random.Random,), lambda r: _fixed(lambda: {"": hash(r.getstate())})),
    ((count,), lambda value: _fixed(lambda: {"": repr(value)})),
    ((FunctionType,), _of_function),
    ((MethodType, classmethod, staticmethod), lambda m: _fixed(lambda: {"": m.__func__})),
    ((partial,), lambda p: _fixed(lambda: {0: p.func, 1: p.args, 2: p.keywords})),
    ((GeneratorType,), lambda g: _fixed(lambda: dict(g.gi_frame.f_locals) if g.gi_frame else {})),
    ((type,), _of_class),
    ((ModuleType,), lambda module: None),
)


def _listed(slots: str | Iterable[str]) -> Iterable[str]:
    return (slots,) if isinstance(slots, str) else slots


def _identical(before: _Parts, now: _Parts) -> bool:
    """Whether all parts are the same objects in the same order: most often so, and soon seen."""
    return [*before] == [*now] and all(map(is_, before.values(), now.values()))


def _same(key: Hashable, before: _Parts, now: _Parts) -> bool:
    if key not in before or key not in now:
        return False
    one, two = before[key], now[key]
    return one is two or (type(one) is type(two) and isinstance(one, _PLAIN) and one == two)


def _is_closed(thing: type | FunctionType) -> bool:
    # A function that wraps another one has its ``__module__``, and globals of its own.
    named = str(thing.__module__).partition(".")[0]
    return named in _CLOSED and package_of(thing) in _CLOSED
