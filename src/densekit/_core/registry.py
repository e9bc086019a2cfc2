"""The closed table of public components, and the open one of users' own.

A built-in component is known by Keras' public module and name (``keras.layers``, ``Dense``), which
is what files carry. Nothing is ever imported by a name found in a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from densekit._core import rooms
from densekit._core.errors import describe, message
from densekit._core.frames import filters_traceback
from densekit._core.types import Config

T = TypeVar("T")

_builtin: dict[str, Config] = {}
_public_name: dict[object, tuple[str, str]] = {}
_custom: Config = {}
_custom_name: dict[object, str] = {}
_scoped: ContextVar[tuple[Config, ...]] = ContextVar("densekit_custom_objects", default=())


def export(module: str, *aliases: str) -> Callable[[T], T]:
    """Register a class or function under Keras' public `module`; `aliases` are further names.

    What goes wrong while a class is made an object is shown without internal frames.
    """

    def register(component: T) -> T:
        made: Any = component
        own = isinstance(component, type) and made.__init__ is not object.__init__
        if own and not hasattr(made.__init__, "__wrapped__"):
            made.__init__ = filters_traceback(made.__init__)
        name = component.__name__  # type: ignore[attr-defined]
        _public_name[component] = (module, name)
        table = _builtin.setdefault(module, {})
        for key in (name, *aliases):
            table[key] = component
        return component

    return register


class Names(Mapping[str, Any]):
    """Built-in components of a public module by every name they go by, aliases included.

    Asking for a name loads the file it lives in, and no other; iterating loads the room.

    Args:
        module: Keras' public module, e.g. ``"keras.losses"``.
        spell: turns what a user writes into such a name. Default: as written.
    """

    def __init__(self, module: str, spell: Callable[[str], str] | None = None) -> None:
        self.module = module
        self._spell = spell

    def __getitem__(self, name: str) -> Any:
        name = self._spell(name) if self._spell else name
        loaded = _builtin.get(self.module, {})
        if name not in loaded:
            self._load(name)
        return _builtin.get(self.module, {})[name]

    def _load(self, name: str) -> None:
        room = rooms.room_of(self.module)
        if room is not None and name in room.names:
            room.load(name)
        elif room is not None:
            room.load_all()

    def __iter__(self) -> Iterator[str]:
        room = rooms.room_of(self.module)
        if room is not None:
            room.load_all()
        return iter(tuple(_builtin.get(self.module, {})))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return True  # without loading anything


def components(module: str) -> Config:
    """Built-in components of a public module by their own names, aliases left out."""
    return {k: v for k, v in Names(module).items() if _public_name[v] == (module, k)}


def if_loaded(module: str, name: str) -> Any | None:
    """The built-in component of that public module and name if its file has been loaded."""
    return _builtin.get(module, {}).get(name)


def builtin(module: str | None, name: str) -> Any | None:
    """The built-in component of that public module and name, or None."""
    found = Names(module or "").get(name)
    if found is None:
        rooms.load_all()
        found = if_loaded(module or "", name)
    return found


def public_name(component: object) -> tuple[str, str] | None:
    """``(module, name)`` of a built-in component, or None for anything else."""
    try:
        return _public_name.get(component)
    except TypeError:
        return None


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[T], T]:
    """Register a class or function under ``package>name`` so that files naming it can be loaded.

    Args:
        package: first part of the registered name. Default: ``"Custom"``.
        name: second part. Default: the ``__name__`` of the decorated object.

    Raises:
        ValueError: if a class has no `get_config` method.

    Example:

    >>> import densekit as keras
    >>> @keras.saving.register_keras_serializable(package="doc")
    ... def double(x):
    ...     return 2 * x
    >>> keras.saving.get_registered_name(double)
    'doc>double'
    """

    def register(component: T) -> T:
        own_name = name or component.__name__  # type: ignore[attr-defined]
        if isinstance(component, type) and not hasattr(component, "get_config"):
            raise ValueError(
                message(
                    f"register_keras_serializable({own_name!r})",
                    "a class with a `get_config` method",
                    describe(component),
                    "Define `get_config` to return the constructor's arguments.",
                )
            )
        key = f"{package}>{own_name}"
        _custom[key] = component
        _custom_name[component] = key
        return component

    return register


def get_registered_name(obj: object) -> str:
    """``package>name`` of a registered class or function `obj`, else its ``__name__``.

    Example:

    >>> import densekit as keras
    >>> keras.saving.get_registered_name(keras.layers.Dense)
    'Dense'
    """
    return _custom_name.get(obj, getattr(obj, "__name__", type(obj).__name__))


def get_registered_object(
    name: str,
    custom_objects: Config | None = None,
    module_objects: Mapping[str, object] | None = None,
) -> Any | None:
    """Look `name` up: active scopes, `custom_objects`, registered objects, `module_objects`.

    Example:

    >>> import densekit as keras
    >>> keras.saving.get_registered_object("mine", custom_objects={"mine": abs})
    <built-in function abs>
    """
    tables = (*reversed(_scoped.get()), custom_objects or {}, _custom, module_objects or {})
    for table in tables:
        if name in table:
            return table[name]
    return None


def get_custom_objects() -> Config:
    """The live dictionary of registered objects: assigning an entry registers it.

    Example:

    >>> import densekit as keras
    >>> keras.saving.get_custom_objects()["halved"] = lambda x: x / 2
    >>> keras.layers.Activation("halved")(keras.ops.ones(1)).tolist()
    [0.5]
    >>> del keras.saving.get_custom_objects()["halved"]
    """
    return _custom


@contextmanager
def custom_object_scope(custom_objects: Config | None) -> Iterator[None]:
    """Make `custom_objects` known by name inside a ``with`` block; None stands for none.

    Example:

    >>> import densekit as keras
    >>> with keras.saving.custom_object_scope({"halved": lambda x: x / 2}):
    ...     layer = keras.layers.Activation("halved")
    >>> layer(keras.ops.ones(1)).tolist()
    [0.5]
    """
    token = _scoped.set((*_scoped.get(), dict(custom_objects or {})))
    try:
        yield
    finally:
        _scoped.reset(token)


CustomObjectScope = custom_object_scope
