"""Threads that use one model: one trains or evaluates, others predict between its chunks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any, TypeVar, cast

from densekit._core.errors import message

T = TypeVar("T")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., object])

_NOBODY: AbstractContextManager[object] = nullcontext()
_claiming = threading.Lock()


class Turns:
    """Who trains or evaluates a model, and the lock that its chunks of steps take."""

    def __init__(self) -> None:
        self.chunk = threading.RLock()
        self._owner: int | None = None
        self._depth = 0

    @property
    def is_owned(self) -> bool:
        """Whether a thread trains or evaluates the model."""
        return self._owner is not None

    def claim(self) -> bool:
        """Become the thread that trains or evaluates; False if another one does."""
        thread = threading.get_ident()
        with _claiming:
            if self._owner not in (None, thread):
                return False
            self._owner = thread
            self._depth += 1
            return True

    def release(self) -> None:
        """Undo one `claim`."""
        with _claiming:
            self._depth -= 1
            if not self._depth:
                self._owner = None

    def to_predict(self) -> AbstractContextManager[object]:
        """What predictions run in: between two chunks, if another thread makes them."""
        return _NOBODY if self._owner in (None, threading.get_ident()) else self.chunk

    def guarded(self, call: Callable[[T], R]) -> Callable[[T], R]:
        """`call`, in its turn."""

        def in_turn(rows: T) -> R:
            with self.to_predict():
                return call(rows)

        return in_turn


def alone(method: F) -> F:
    """Wrap a method that trains or evaluates: while it runs, no other thread may call one."""

    @wraps(method)
    def wrapper(self: Any, *args: object, **kwargs: object) -> object:
        runtime = self._dk_runtime
        if not runtime.turns.claim():
            raise RuntimeError(
                message(
                    f"{type(self).__name__} {self.name!r}.{method.__name__}",
                    "a model that no other thread trains or evaluates",
                    "one that another thread does",
                    "Wait for it, or use `keras.models.clone_model`.",
                )
            )
        runtime.guard_call()
        try:
            return method(self, *args, **kwargs)
        finally:
            runtime.turns.release()
            runtime.guard_call()

    return cast(F, wrapper)
