"""Which variables, sub-layers, metrics and seed generators a layer owns, in order of assignment.

Plans depend on it. A `Tracker` has a version; the trackers of models that were followed into a plan
are told when a part of theirs changes, and no other model is.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self
from weakref import WeakSet

from densekit._core.captured_state import CapturedState
from densekit._core.seeds import SeedGenerator
from densekit._core.tracked import TrackedLayer, TrackedMetric
from densekit._core.types import Config
from densekit._core.variable import Variable
from densekit.layers._base.call import is_computing

_tracking: ContextVar[bool] = ContextVar("densekit_tracking", default=True)
_serial = itertools.count(1)  # versions are never given twice, whatever threads do
_telling = threading.Lock()

_PLAIN = (int, float, complex, str, bytes, type(None))

LOCKED = (
    "You cannot add new elements of state (variables or sub-layers) to a layer that is already "
    "built. All state must be created in the `__init__()` method or in the `build()` method."
)


@contextmanager
def no_tracking() -> Iterator[None]:
    """Inside, assigned attributes are plain attributes."""
    token = _tracking.set(False)
    try:
        yield
    finally:
        _tracking.reset(token)


class Tracker:
    """The state found in the attributes of one layer, and how often what plans need has changed.

    Attributes:
        version: another number after each change of the layer or, for a model that asked by
            `current`, of a part of it. Values of variables and `trainable` do not count.
        flags: the same for `trainable`.
        reads: the attributes that plans depend on, if somebody found out; None: any may matter.
        captured: what the code of the layer and its parts reads beside them, for a version.
    """

    def __init__(self) -> None:
        self.version = self.flags = 0
        self._subscribers: WeakSet[Tracker] | None = None  # who hears of changes here
        self._heard = -1  # the version for which all parts tell this tracker
        self.trainable_variables: list[Variable] = []
        self.non_trainable_variables: list[Variable] = []
        self.layers: list[Any] = []
        self.metrics: list[Any] = []
        self.seed_generators: list[SeedGenerator] = []
        self.locked = False
        self.reads: frozenset[str] | None = None
        self.captured: tuple[int, CapturedState | None] = (-1, None)

    def is_read(self, name: str | None) -> bool:
        """Whether what is computed may follow from the attribute of that name."""
        return self.reads is None or name is None or name in self.reads

    def _store_of(self, value: object) -> list[Any] | None:
        if isinstance(value, Variable):
            if any(v is value for v in self.trainable_variables):
                return self.trainable_variables
            return self.trainable_variables if value.trainable else self.non_trainable_variables
        if isinstance(value, SeedGenerator):
            return self.seed_generators
        if isinstance(value, TrackedLayer):
            return self.layers
        return self.metrics if isinstance(value, TrackedMetric) else None

    def add(self, value: object) -> None:
        """Track `value` if it is state and new; a locked tracker refuses it."""
        store = self._store_of(value)
        if store is None or any(v is value for v in store):
            return
        if self.locked:
            raise ValueError(LOCKED)
        store.append(value)
        self.changed()

    def discard(self, value: object) -> None:
        """Forget `value`."""
        for store in self._stores():
            store[:] = [v for v in store if v is not value]
        self.changed()

    # Versions

    def changed(self) -> None:
        """Tell that plans made before are stale."""
        self.version = next(_serial)
        for tracker in self._listeners():
            tracker.version = next(_serial)

    def flags_changed(self) -> None:
        """Tell that a `trainable` flag was set."""
        self.flags = next(_serial)
        for tracker in self._listeners():
            tracker.flags = next(_serial)

    def _listeners(self) -> list[Tracker]:
        """Those who hear of a change, and those who hear of them."""
        met: dict[int, Tracker] = {}
        waiting: list[Tracker] = [self]
        while waiting:
            subscribers = waiting.pop()._subscribers
            if subscribers is not None:
                with _telling:
                    new = [tracker for tracker in subscribers if id(tracker) not in met]
                met.update((id(tracker), tracker) for tracker in new)
                waiting += new
        return list(met.values())

    def current(self) -> int:
        """The version; from now on every part, however deep, tells of its changes."""
        while self._heard != self.version:
            version = self.version
            self.listen_to(self.layers)
            self._heard = version
        return self.version

    def listen_to(self, layers: Iterable[Any]) -> None:
        """Hear of changes of `layers` and all they own. A layer may have many listeners."""
        met = {id(self)}
        waiting = [layer._tracker for layer in layers]
        while waiting:
            tracker = waiting.pop()
            if id(tracker) in met:
                continue
            met.add(id(tracker))
            waiting.extend(layer._tracker for layer in tracker.layers)
            if tracker._subscribers is None or self not in tracker._subscribers:
                with _telling:
                    tracker._subscribers = tracker._subscribers or WeakSet()
                    tracker._subscribers.add(self)

    def holds_state(self, value: object) -> bool:
        """Whether `value` is, or contains, something to be tracked."""
        if isinstance(value, list | tuple | set | frozenset):
            return any(map(self.holds_state, value))
        if isinstance(value, dict):
            return any(map(self.holds_state, value.values()))
        return self._store_of(value) is not None

    def matters(self, old: object, new: object) -> bool:
        """Whether replacing `old` by `new` may change a plan.

        What a layer notes for itself during a call does not, unless it is state.
        """
        if old is new or (type(old) is type(new) and isinstance(old, _PLAIN) and old == new):
            return False
        return not is_computing() or self.holds_state(old) or self.holds_state(new)

    def __getstate__(self) -> Config:
        return {**self.__dict__, "_subscribers": None, "_heard": -1, "captured": (-1, None)}

    def track(self, value: object, name: str | None = None) -> Any:
        """Track `value` or, in a list, tuple, dict or set, its items. Returns what to store."""
        if not _tracking.get():
            return value
        if isinstance(value, TrackedList | TrackedDict | TrackedSet):
            if value._name != name:
                value._name = None  # several hold it
            return value
        if type(value) in (list, dict, set):
            kinds: dict[type, Any] = {list: TrackedList, dict: TrackedDict, set: TrackedSet}
            container = kinds[type(value)].of(value, self)
            container._name = name
            return container
        if isinstance(value, tuple):
            items = [self.track(item) for item in value]
            return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
        self.add(value)
        return value

    def _stores(self) -> list[list[Any]]:
        return [
            self.trainable_variables,
            self.non_trainable_variables,
            self.layers,
            self.metrics,
            self.seed_generators,
        ]

    def snapshot(self) -> list[list[Any]]:
        """The present content, for `restore`."""
        return [list(store) for store in self._stores()]

    def restore(self, snapshot: list[list[Any]]) -> None:
        """Go back to `snapshot`."""
        for store, content in zip(self._stores(), snapshot, strict=True):
            store[:] = content
        self.changed()


def _watched(kind: type, adding: Iterable[str], removing: Iterable[str]) -> Callable[[type], type]:
    """Give a subclass of `kind` methods that report what is put in and that it changed."""

    def method(name: str, items: Callable[..., Iterable[Any]] | None) -> Callable[..., Any]:
        original = getattr(kind, name)

        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            tracker = self._tracker
            if tracker is None:
                return original(self, *args, **kwargs)
            if name in ("extend", "__iadd__"):
                args = ([*args[0]],)  # an iterator gives its items once
            given = [] if items is None else items(*args, **kwargs)
            for item in given:
                tracker.track(item)
            touched = given if name in _ONLY_ADDS else [*given, *_contents(self)]
            try:
                return original(self, *args, **kwargs)
            finally:
                matters = not is_computing() and tracker.is_read(self._name)
                if matters or tracker.holds_state(touched):
                    tracker.changed()

        call.__name__ = name
        return call

    def decorate(cls: type) -> type:
        for name in adding:
            setattr(cls, name, method(name, _ITEMS[name]))
        for name in removing:
            setattr(cls, name, method(name, None))
        return cls

    return decorate


_ONLY_ADDS = {"append", "add", "insert", "extend", "__iadd__"}


def _contents(container: Any) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


_ITEMS: dict[str, Callable[..., Iterable[Any]]] = {
    "append": lambda item: [item],
    "add": lambda item: [item],
    "insert": lambda index, item: [item],
    "extend": lambda items: [*items],
    "__iadd__": lambda items: [*items],
    "__setitem__": lambda key, item: [*item] if isinstance(key, slice) else [item],
    "setdefault": lambda key, item=None: [item],
}


class _Tracked:
    """Copying and pickling shared by the three containers."""

    _tracker: Tracker | None = None
    _name: str | None = None  # of the attribute that holds it
    _plain: Callable[[Any], Any]  # what a copy is made through: the type without tracking

    @classmethod
    def of(cls, items: Iterable[object], tracker: Tracker) -> Self:
        """A container that holds `items` and reports to `tracker`."""
        container = cls()
        container._tracker = tracker
        container._fill(items)
        return container

    def _fill(self, items: object) -> None:
        raise NotImplementedError

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (), (self._plain(self), self._tracker)

    def __setstate__(self, state: tuple[Any, Tracker | None]) -> None:
        self._fill(state[0])
        self._tracker = state[1]


@_watched(
    list,
    ("append", "insert", "extend", "__iadd__", "__setitem__"),
    ("pop", "remove", "clear", "__delitem__", "sort", "reverse", "__imul__"),
)
class TrackedList(_Tracked, list):  # type: ignore[type-arg]
    """A list whose new items are tracked."""

    _plain = list

    def _fill(self, items: Any) -> None:
        self.extend(items)


@_watched(dict, ("__setitem__", "setdefault"), ("pop", "popitem", "clear", "__delitem__"))
class TrackedDict(_Tracked, dict):  # type: ignore[type-arg]
    """A dict whose new values are tracked."""

    _plain = dict

    def _fill(self, items: object) -> None:
        self.update(items)

    def update(self, *args: object, **kwargs: object) -> None:
        """As `dict.update`."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __ior__(self, other: object) -> Any:  # type: ignore[misc]
        self.update(other)
        return self


@_watched(set, ("add",), ("pop", "remove", "discard", "clear"))
class TrackedSet(_Tracked, set):  # type: ignore[type-arg]
    """A set whose new items are tracked."""

    _plain = set

    def _fill(self, items: Any) -> None:
        self.update(items)

    def update(self, *others: Iterable[object]) -> None:
        """As `set.update`."""
        for items in others:
            for item in items:
                self.add(item)
