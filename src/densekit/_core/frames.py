"""Whose code a stack frame belongs to: warnings name the user's line, tracebacks show users' code.

`warn` is the only place of the package that warns; `hide_internal_frames` is what public calls do
with an exception before they let it pass.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import wraps
from types import FrameType, TracebackType
from typing import TypeVar

from densekit._core import settings

F = TypeVar("F", bound=Callable[..., object])

_INTERNAL = frozenset({__name__.partition(".")[0], "autograd"})
# Modules that stand between the package and the user's code when it runs.
_BETWEEN = frozenset({"contextlib", "functools", "importlib", "copy", "numpy"})
_LIBRARIES = _INTERNAL | _BETWEEN | {"jax", "jaxlib", "ml_dtypes"}


def _root(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def is_internal(frame: FrameType) -> bool:
    """Whether a frame runs code of this package, or of `autograd` on its behalf."""
    return _root(frame) in _INTERNAL


def is_of_users(frame: FrameType) -> bool:
    """Whether a frame runs code of neither this package nor a library of arrays."""
    return _root(frame) not in _LIBRARIES


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the user's code that led here."""
    here: FrameType = sys._getframe(1)
    frame: FrameType | None = here
    while frame is not None and (is_internal(frame) or _root(frame) in _BETWEEN):
        frame = frame.f_back
    frame = frame or here
    warnings.warn_explicit(
        text,
        category,
        filename=frame.f_code.co_filename,
        lineno=frame.f_lineno,
        module=frame.f_globals.get("__name__") or "<unknown>",
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def hide_internal_frames(error: BaseException) -> None:
    """Leave only users' frames in the traceback of `error` and of what led to it.

    Followed by a bare ``raise``, which adds no frame of its own, the exception seems to come from
    the line that called the package. `config.disable_traceback_filtering()` shows everything.
    """
    if not settings.get("traceback_filtering"):
        return
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        context = current.__context__
        if current.__cause__ is None and context is not None and _raised_inside(context):
            current.__suppress_context__ = True  # how the package found out is of no use outside
        current.__traceback__ = _users_frames(current.__traceback__)
        current = current.__cause__ or (None if current.__suppress_context__ else context)


def _raised_inside(error: BaseException) -> bool:
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and is_internal(last.tb_frame)


def _users_frames(traceback: TracebackType | None) -> TracebackType | None:
    kept = []
    while traceback is not None:
        if not is_internal(traceback.tb_frame):
            kept.append(traceback)
        traceback = traceback.tb_next
    found: TracebackType | None = None
    for entry in reversed(kept):
        found = TracebackType(found, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return found


def filters_traceback(function: F) -> F:
    """A public function or method whose exceptions show users' frames only.

    It costs a frame a call: where that counts, write the ``try`` into the function.
    """

    @wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            hide_internal_frames(error)
            raise

    return call  # type: ignore[return-value]
