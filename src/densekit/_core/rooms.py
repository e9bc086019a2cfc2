"""Rooms that load a file when one of its names is first asked for.

A room's ``__init__`` lists its names twice: as imports under ``if TYPE_CHECKING``, for readers and
type checkers, and by file for `lazy_room`, which finds them while running. A test holds the two
together.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable
from dis import opmap
from types import ModuleType
from typing import Any

from densekit._core.absent import hint
from densekit._core.frames import hide_internal_frames

_TOOLS = {"TYPE_CHECKING", "annotations", "lazy_room"}  # of a room's `__init__`, of no use outside
_rooms: dict[str, Room] = {}
_more: dict[str, Callable[[str], object]] = {}  # by room: further names, for old scripts


class Room:
    """The names of one package and the files they live in."""

    def __init__(self, package: str, files: dict[str, str], aliases: dict[str, str]) -> None:
        self._package = package
        self._files = {name: file for file, names in files.items() for name in names.split()}
        self._public_files = {file for file in files if "." not in file and file[0] != "_"}
        self._aliases = aliases
        self.names = sorted({*self._files, *self._public_files, *aliases})

    def load(self, name: str) -> object:
        """The object of that name, or the file; KeyError if the room has none."""
        name = self._aliases.get(name, name)
        if name in self._public_files:
            return self._module(name)
        return getattr(self._module(self._files[name]), name)

    def load_all(self) -> None:
        """Load every file, in the order of the room's table."""
        for file in dict.fromkeys((*self._files.values(), *self._public_files)):
            self._module(file)

    def _module(self, file: str) -> ModuleType:
        return importlib.import_module(file if "." in file else f"{self._package}.{file}")


def lazy_room(
    package: str,
    files: dict[str, str],
    aliases: dict[str, str] | None = None,
    *,
    of_components: bool = True,
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a room.

    Args:
        package: ``__name__`` of the room.
        files: the names, separated by spaces, that each file of the package defines. A file without
            underscore is itself one of the names; one with a full path belongs to another room.
        aliases: further names, and the names they stand for.
        of_components: whether configs name what is in the room; a look-up of components loads it.
    """
    room = Room(package, files, aliases or {})
    if of_components:
        _rooms[package] = room

    def find(name: str) -> object:
        if name in room.names:
            value = room.load(name)
        else:
            try:
                value = _asked_elsewhere(package, name, room.names)
            except Exception as error:
                hide_internal_frames(error)
                raise
        setattr(sys.modules[package], name, value)
        return value

    def listing() -> list[str]:
        return sorted({*vars(sys.modules[package]), *room.names} - _TOOLS)

    return find, listing, room.names


def answers_for_absent(package: str) -> Callable[[str], object]:
    """``__getattr__`` of a room whose names are all loaded."""

    def find(name: str) -> object:
        known = [n for n in vars(sys.modules[package]) if not n.startswith("_")]
        try:
            return _asked_elsewhere(package, name, known)
        except Exception as error:
            hide_internal_frames(error)
            raise

    return find


def let_have(package: str, find: Callable[[str], object]) -> None:
    """Let a room have further names: what `find` gives unless it raises AttributeError."""
    _more[package] = find


def _asked_elsewhere(package: str, name: str, known: list[str]) -> object:
    """A name that the room itself has not; raises the error for one that nobody has."""
    more = _more.get(package)
    if more is not None and not name.startswith("_"):
        with contextlib.suppress(AttributeError):
            return more(name)
    raise _missing(package, name, known)


def _missing(package: str, name: str, known: list[str]) -> Exception:
    """The error for a name that a room has not.

    Of ``from room import name`` Python tells an AttributeError in words of its own, without a
    reason: it is an ImportError at once. Before a submodule is imported, Python asks for it here
    and drops the error; a hint would cost 2 ms each time.
    """
    frame = sys._getframe(3)
    is_dropped = frame.f_code.co_name == "_handle_fromlist" or name.startswith("__")
    text = "" if is_dropped else hint(package, name, known)
    if text and frame.f_code.co_code[frame.f_lasti] == opmap["IMPORT_FROM"]:
        return ImportError(f"cannot import name {name!r} from {package!r}. {text}")
    text = f"module {package!r} has no attribute {name!r}. {text}".rstrip(". ")
    return AttributeError(text, name=name, obj=None)  # Python makes guesses of its own for `obj`


def room_of(module: str) -> Room | None:
    """The room behind Keras' public `module`, e.g. ``"keras.losses"``, if it has been imported."""
    return _rooms.get(module.replace("keras", "densekit", 1))


def load_all() -> None:
    """Load every file of every room."""
    loaded: set[str] = set()
    while waiting := [p for p in _rooms if p not in loaded]:  # loading a room may bring in another
        for package in waiting:
            _rooms[package].load_all()
        loaded.update(waiting)
