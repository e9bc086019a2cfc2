"""Processes of a job tell each other what they do together, so that one that is alone notices."""

from __future__ import annotations

import itertools
import time
from typing import Protocol

import jax
from jax.experimental import multihost_utils

from densekit._core.errors import message

_REMEMBERED = 256  # what a process did last; nobody is that far ahead, as most of it is waiting
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1e-3, 0.1

_numbers = itertools.count(1)


class _Board(Protocol):
    """Where all processes of a job write: the service that brings them together."""

    def key_value_set(self, key: str, value: str, *, allow_overwrite: bool) -> None: ...

    def key_value_dir_get(self, key: str) -> list[tuple[str, str]]: ...


def announce(what: str) -> int:
    """Tell the others what this process does next, together with them; the number of it."""
    number = next(_numbers)
    if jax.process_count() > 1:
        place = f"{_folder(number)}{jax.process_index()}"
        _board().key_value_set(place, f"{number} {what}", allow_overwrite=True)
    return number


def meet(name: str, what: str) -> None:
    """Return when all processes have come here.

    Args:
        name: of what no process has alone.
        what: they do.

    Raises:
        RuntimeError: if another process does something else.
    """
    number, wait = announce(what), _FIRST_WAIT_S
    missing = jax.process_count() > 1
    while missing:
        told = [value.partition(" ") for _, value in _board().key_value_dir_get(_folder(number))]
        here = [does for at, _, does in told if int(at) == number]
        others = [does for does in here if does != what]
        if others:
            raise RuntimeError(
                message(
                    name,
                    f"all {jax.process_count()} processes to {what}",
                    f"one that goes on to {others[0]}",
                    "Do it in each: of what is cut over processes none has the whole.",
                )
            )
        missing = len(here) < jax.process_count()
        if missing:
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_S)


def _folder(number: int) -> str:
    return f"densekit/{number % _REMEMBERED}/"


def _board() -> _Board:
    service = multihost_utils.distributed  # type: ignore[attr-defined]  # not told to type checkers
    board: _Board = service.global_state.client
    return board
