"""Which variables, sub-layers, metrics and seed generators a layer owns, in order of assignment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from densekit._core.registry import Names, if_loaded
from densekit._core.seeds import SeedGenerator
from densekit._core.variable import Variable

_tracking: ContextVar[bool] = ContextVar("densekit_tracking", default=True)
_version = 0

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


def structure_version() -> int:
    """A number that grows whenever a built layer changes: plans made before are then stale."""
    return _version


def structure_changed() -> None:
    """Tell that a built layer changed (not the value of a variable)."""
    global _version
    _version += 1


def is_metric(value: Any) -> bool:
    """Whether `value` is a metric; never loads the metrics room, without which there are none."""
    for module in ("keras.metrics", "keras"):
        base = if_loaded(module, "Metric")
        if base is not None:
            return isinstance(value, base)
    return False


class Tracker:
    """The state found in the attributes of one layer."""

    def __init__(self) -> None:
        self.trainable_variables: list[Variable] = []
        self.non_trainable_variables: list[Variable] = []
        self.layers: list[Any] = []
        self.metrics: list[Any] = []
        self.seed_generators: list[SeedGenerator] = []
        self.locked = False

    def _store_of(self, value: Any) -> list[Any] | None:
        if isinstance(value, Variable):
            if any(v is value for v in self.trainable_variables):
                return self.trainable_variables
            return self.trainable_variables if value.trainable else self.non_trainable_variables
        if isinstance(value, SeedGenerator):
            return self.seed_generators
        if isinstance(value, _layer_base()):
            return self.layers
        return self.metrics if is_metric(value) else None

    def add(self, value: Any) -> None:
        """Track `value` if it is state and new; a locked tracker refuses it."""
        store = self._store_of(value)
        if store is None or any(v is value for v in store):
            return
        if self.locked:
            raise ValueError(LOCKED)
        store.append(value)

    def discard(self, value: Any) -> None:
        """Forget `value`."""
        for store in self._stores():
            store[:] = [v for v in store if v is not value]

    def track(self, value: Any) -> Any:
        """Track `value` or, in a list, tuple, dict or set, its items. Returns what to store."""
        if not _tracking.get():
            return value
        if isinstance(value, TrackedList | TrackedDict | TrackedSet):
            return value
        if type(value) in (list, dict, set):
            kinds: dict[type, Any] = {list: TrackedList, dict: TrackedDict, set: TrackedSet}
            return kinds[type(value)].of(value, self)
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


def _layer_base() -> type:
    base: type = Names("keras.layers")["Layer"]
    globals()["_layer_base"] = lambda: base
    return base


def _watched(kind: type, adding: Iterable[str], removing: Iterable[str]) -> Callable[[type], type]:
    """Give a subclass of `kind` methods that report what is put in and that it changed."""

    def method(name: str, items: Callable[..., Iterable[Any]] | None) -> Callable[..., Any]:
        original = getattr(kind, name)

        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            tracker = self._tracker
            if tracker is not None:
                if items is not None:
                    for item in items(*args, **kwargs):
                        tracker.track(item)
                structure_changed()
            return original(self, *args, **kwargs)

        call.__name__ = name
        return call

    def decorate(cls: type) -> type:
        for name in adding:
            setattr(cls, name, method(name, _ITEMS[name]))
        for name in removing:
            setattr(cls, name, method(name, None))
        return cls

    return decorate


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
    _plain: Callable[[Any], Any]  # what a copy is made through: the type without tracking

    @classmethod
    def of(cls, items: Any, tracker: Tracker) -> Any:
        """A container that holds `items` and reports to `tracker`."""
        container = cls()
        container._tracker = tracker
        container._fill(items)
        return container

    def _fill(self, items: Any) -> None:
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (), (self._plain(self), self._tracker)

    def __setstate__(self, state: tuple[Any, Tracker | None]) -> None:
        self._fill(state[0])
        self._tracker = state[1]


@_watched(
    list,
    ("append", "insert", "extend", "__iadd__", "__setitem__"),
    ("pop", "remove", "clear", "__delitem__", "sort", "reverse"),
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

    def _fill(self, items: Any) -> None:
        self.update(items)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """As `dict.update`."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value


@_watched(set, ("add",), ("pop", "remove", "discard", "clear"))
class TrackedSet(_Tracked, set):  # type: ignore[type-arg]
    """A set whose new items are tracked."""

    _plain = set

    def _fill(self, items: Any) -> None:
        self.update(items)

    def update(self, *others: Iterable[Any]) -> None:
        """As `set.update`."""
        for items in others:
            for item in items:
                self.add(item)
