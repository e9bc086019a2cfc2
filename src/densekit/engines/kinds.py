"""Engines by name, and which one a model gets that is told none."""

from __future__ import annotations

import importlib
import os
import re
from contextvars import ContextVar
from typing import TYPE_CHECKING, cast

from densekit._core import settings
from densekit._core.errors import message

if TYPE_CHECKING:
    from densekit._core.engine_kind import EngineKind

_VARIABLE = "DENSEKIT_ENGINE"

# A module is loaded when its engine is first used. Each has a value `ENGINE`.
_modules = {
    "native": "densekit.engines.native_kind",
    "reference": "densekit.engines.reference",
    "jax": "densekit.engines.jax",
}
_loaded: dict[str, EngineKind] = {}
_inside: ContextVar[EngineKind | None] = ContextVar("densekit_engine", default=None)
_JAX = (0, 8)  # the first version whose types and x64 mode are the engine's


def register_engine(name: str, module: str) -> None:
    """Add an engine.

    Args:
        name: what `compile` and `config.set_engine` call it.
        module: full name of a module with a value ``ENGINE``, an `EngineKind`; loaded on first use.

    Example:

    >>> from densekit import engines
    >>> engines.register_engine("reference", "densekit.engines.reference")
    >>> engines.engine_kind("reference").name
    'reference'
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
        ImportError: if what it needs is not installed.
    """
    if not isinstance(name, str) or name not in _modules:
        raise ValueError(
            message(where, f"an engine among {engine_names()}", repr(name), "Pass one of them.")
        )
    if name == "jax":
        _check_jax(where)
    return name


def _check_jax(where: str) -> None:
    """That JAX is there, which is not imported for that."""
    from importlib import metadata  # slow, and seldom needed

    try:
        found = metadata.version("jax")
    except metadata.PackageNotFoundError:
        found = ""
    if not found or tuple(map(int, re.findall(r"\d+", found)[:2])) < _JAX:
        raise ImportError(_no_jax(where, found or "none installed"))


def _no_jax(where: str, found: str) -> str:
    wanted = f"JAX {'.'.join(map(str, _JAX))} or newer for the engine 'jax'"
    return message(where, wanted, found, 'Run `pip install "densekit[jax]"`.')


def engine_kind(name: str | None = None) -> EngineKind:
    """The engine of that name; None: the one for what is told none."""
    if name is None:
        inside = _inside.get()
        if inside is not None:
            return inside
        name = settings.get("engine") or default_name()
    kind = _loaded.get(name)
    if kind is None:
        check_engine(name, "engine")
        try:
            module = importlib.import_module(_modules[name])
        except ImportError as error:
            if name != "jax":
                raise
            raise ImportError(_no_jax("engine", f"one that is not whole: {error}")) from error
        kind = _loaded[name] = cast("EngineKind", module.ENGINE)
    return kind


def default_name() -> str:
    """What `config.set_engine` was told last, else the environment, else ``"native"``."""
    name = settings.get("engine")
    if name is None:
        name = check_engine(os.environ.get(_VARIABLE) or "native", f"environment {_VARIABLE}")
        settings.put("engine", name)
    return str(name)


class inside:
    """``with inside(kind):`` runs what an engine calls on it too: models in models, updates."""

    __slots__ = ("_kind", "_token")

    def __init__(self, kind: EngineKind) -> None:
        self._kind = kind

    def __enter__(self) -> None:
        self._token = _inside.set(self._kind)

    def __exit__(self, *exc: object) -> None:
        _inside.reset(self._token)
