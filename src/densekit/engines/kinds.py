"""Engines by name, and which one a model gets that is told none."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import cast

from densekit._core import settings
from densekit._core.engine import EngineKind
from densekit._core.errors import message

_VARIABLE = "DENSEKIT_ENGINE"

# A module is loaded when its engine is first used. Each has a value `ENGINE`.
_modules = {
    "native": "densekit.engines.native_kind",
    "reference": "densekit.engines.reference",
}
_loaded: dict[str, EngineKind] = {}
_inside: ContextVar[EngineKind | None] = ContextVar("densekit_engine", default=None)
_NOT_HERE = {"jax": "It needs the extra `densekit[jax]`, which is not there yet."}


def register_engine(name: str, module: str) -> None:
    """Add an engine.

    Args:
        name: what `compile` and `config.set_engine` call it.
        module: full name of a module with a value ``ENGINE``, an `EngineKind`; loaded on first use.
    """
    _modules[name] = module
    _loaded.pop(name, None)


def engine_names() -> tuple[str, ...]:
    """The names of the engines there are."""
    return tuple(_modules)


def check_engine(name: object, where: str) -> str:
    """`name`, if there is such an engine.

    Raises:
        ValueError: if not, naming those there are.
    """
    if isinstance(name, str) and name in _modules:
        return name
    action = _NOT_HERE.get(str(name), "Pass one of them.")
    raise ValueError(message(where, f"an engine among {engine_names()}", repr(name), action))


def engine_kind(name: str | None = None) -> EngineKind:
    """The engine of that name; None: the one for what is told none."""
    if name is None:
        inside = _inside.get()
        if inside is not None:
            return inside
        name = default_name()
    kind = _loaded.get(name)
    if kind is None:
        check_engine(name, "engine")
        kind = _loaded[name] = cast(EngineKind, importlib.import_module(_modules[name]).ENGINE)
    return kind


def default_name() -> str:
    """What `config.set_engine` was told last, else the environment, else ``"native"``."""
    name = settings.get("engine")
    if name is None:
        name = check_engine(os.environ.get(_VARIABLE) or "native", f"environment {_VARIABLE}")
        settings.put("engine", name)
    return str(name)


@contextmanager
def inside(kind: EngineKind) -> Iterator[None]:
    """Inside, what an engine calls runs on it too: models within models, updates of optimizers."""
    token = _inside.set(kind)
    try:
        yield
    finally:
        _inside.reset(token)
