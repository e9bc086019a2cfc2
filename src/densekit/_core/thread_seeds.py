"""Where seeds come from that nobody gave: a thread's own stream, or that of the process.

The stream of the process is Python's `random`. A thread other than the main one that seeds itself
gets a stream of its own, so that seeded runs side by side each draw what they would draw alone. As
seeding sets `random` too, the main thread then goes on with a copy of what `random` was.
"""

from __future__ import annotations

import random
import threading
from typing import Any, NamedTuple

_MOST = int(1e9)
_State = tuple[object, ...]


class _Own(threading.local):
    stream: random.Random | None = None
    reserved = 0


_own = _Own()
_of_main: random.Random | None = None  # once another thread has seeded `random`
_seeding = threading.Lock()


class Reserved(NamedTuple):
    """A seed set aside in one thread, in case it is asked for in another."""

    thread: int
    seed: int


def is_main() -> bool:
    """Whether this is the main thread."""
    return threading.current_thread() is threading.main_thread()


def seed_thread(seed: int) -> None:
    """Make the seeds that this thread draws repeatable, and Python's `random`."""
    global _of_main
    with _seeding:
        if is_main():
            _of_main = None
        else:
            _own.stream = random.Random(seed)
            if _of_main is None:
                _of_main = _copy(random)
        _own.reserved = 0
        random.seed(seed)


class Saved(NamedTuple):
    """Where the seeds of a thread come from, and Python's `random`, at some moment."""

    module: _State
    of_main: _State | None
    own: _State | None
    reserved: int


def save() -> Saved:
    """What `restore` brings back in this thread."""
    with _seeding:
        of_main, own = (None if s is None else s.getstate() for s in (_of_main, _own.stream))
        return Saved(random.getstate(), of_main, own, _own.reserved)


def restore(saved: Saved) -> None:
    """Go on from that moment."""
    global _of_main
    with _seeding:
        random.setstate(saved.module)
        _of_main = _at(saved.of_main)
        _own.stream = _at(saved.own)
        _own.reserved = saved.reserved


def draw_seed() -> int:
    """The next seed of this thread."""
    with _seeding:
        seed: int = (_stream() or random).randint(1, _MOST)
    return seed


def reserve() -> Reserved:
    """A seed that follows from this thread's stream, which stays where it is."""
    _own.reserved += 1
    with _seeding:
        stream = _copy(_stream() or random)
    stream.seed(stream.getrandbits(64) + _own.reserved)
    return Reserved(threading.get_ident(), stream.randint(1, _MOST))


def draw_reserved(reserved: Reserved | None) -> int:
    """The next seed of this thread or, in another than it was reserved in, that seed."""
    here = reserved is None or reserved.thread == threading.get_ident()
    return draw_seed() if reserved is None or here else reserved.seed


def _stream() -> random.Random | None:  # None: that of the module
    return _of_main if is_main() else _own.stream


def _copy(stream: Any) -> random.Random:
    copied = random.Random()
    copied.setstate(stream.getstate())
    return copied


def _at(state: _State | None) -> random.Random | None:
    """A stream in that state; None of None."""
    if state is None:
        return None
    stream = random.Random()
    stream.setstate(state)
    return stream
