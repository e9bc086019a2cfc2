"""`name_scope`: what stands before the paths of variables."""

from __future__ import annotations

import threading
from typing import Self

from densekit._core.errors import describe, message
from densekit._core.registry import export


class _Scopes(threading.local):
    def __init__(self) -> None:
        self.names: list[str] = []


_scopes = _Scopes()


@export("keras")
class name_scope:
    """Inside, paths of variables and layers begin with a name.

    Args:
        name: without ``/``; scopes inside of scopes are joined by it.
        **kwargs: kept for Keras' signature, whose own layers use them.

    Raises:
        ValueError: for a name with ``/``, or no text.

    Example:

    >>> import densekit as keras
    >>> with keras.name_scope("encoder"):
    ...     keras.Variable(1.0, name="scale").path
    'encoder/scale'
    """

    def __init__(self, name: str, **kwargs: object) -> None:
        if not isinstance(name, str) or "/" in name:
            raise ValueError(
                message("name_scope", "a text without '/'", describe(name), "Nest scopes instead.")
            )
        self.name = name

    def __enter__(self) -> Self:
        _scopes.names.append(self.name)
        return self

    def __exit__(self, *error: object) -> None:
        _scopes.names.pop()


def in_scope(path: str) -> str:
    """`path` behind the names of the open scopes."""
    names = _scopes.names
    return "/".join([*filter(None, names), path]) if names else path
