"""`name_scope`: what stands before the paths of variables."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Self

from densekit._core.errors import describe, message
from densekit._core.registry import export


class _Scopes(threading.local):
    def __init__(self) -> None:
        self.open: list[name_scope] = []


_scopes = _Scopes()


@export("keras")
class name_scope:
    """Inside, paths of variables and layers begin with a name.

    Args:
        name: without ``/``; scopes inside of scopes are joined by it.
        caller: whose scope it is: the same one directly inside itself counts once. Default: none.
        deduplicate: whether it does. Default: ``True``.
        override_parent: path to begin with, whatever scopes are around. Default: none.

    Raises:
        ValueError: for a name with ``/``, or no text.

    Example:

    >>> import densekit as keras
    >>> with keras.name_scope("encoder"):
    ...     keras.Variable(1.0, name="scale").path
    'encoder/scale'
    """

    def __init__(
        self,
        name: str,
        caller: object = None,
        deduplicate: bool = True,
        override_parent: str | None = None,
    ) -> None:
        if not isinstance(name, str) or "/" in name:
            raise ValueError(
                message("name_scope", "a text without '/'", describe(name), "Nest scopes instead.")
            )
        self.name = name
        self.caller, self.override_parent = caller, override_parent
        self.deduplicate = deduplicate
        self._counts = True

    def __enter__(self) -> Self:
        around = _scopes.open[-1] if _scopes.open else None
        again = around is not None and (around.caller, around.name) == (self.caller, self.name)
        self._counts = not (again and self.deduplicate and self.caller is not None)
        if self._counts:
            _scopes.open.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        if self._counts:
            _scopes.open.pop()


def in_scope(path: str) -> str:
    """`path` behind the names of the open scopes."""
    return joined([(path, len(_scopes.open))]) if _scopes.open else path


def open_scopes() -> int:
    """How many scopes are open."""
    return len(_scopes.open)


def joined(names: Iterable[tuple[str, int]]) -> str:
    """One path of names, from the outermost on, each with how many scopes are open around it."""
    parts: list[str] = []
    seen = 0
    for name, around in names:
        for scope in _scopes.open[seen:around]:
            parts = parts if scope.override_parent is None else [scope.override_parent]
            parts.append(scope.name)
        seen = max(seen, around)
        parts.append(name)
    return "/".join(filter(None, parts))
