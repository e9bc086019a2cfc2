"""Where text for people goes, and what can be shown there.

Messages go to standard output, or to the log when interactive logging is off. Standard output may
be a terminal, a notebook, a pipe or a file, of any encoding.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from typing import NamedTuple, TextIO

from densekit._core import settings

# What stands for the characters of bars and tables where the encoding lacks them.
_PLAIN = str.maketrans(
    {**dict.fromkeys("━─", "-"), **dict.fromkeys("┃│", "|"), "…": "..."}
    | dict.fromkeys("┏┳┓┡╇┩├┼┤└┴┘", "+")
)
_DONE, _LEFT = "━", "─"  # of a bar without colours


class Screen(NamedTuple):
    """What standard output can do."""

    overwrites: bool  # a line may be written anew
    in_place: bool  # and nothing stays of what was there: a notebook may keep all of it
    colours: bool
    width: int | None  # characters of a line that can be overwritten, None if there is no limit
    bar: tuple[str, str]  # parts done and left of a bar, without colours


def screen() -> Screen:
    """What standard output can do now."""
    stream: TextIO = sys.stdout
    dumb = os.environ.get("TERM") == "dumb"
    terminal = bool(getattr(stream, "isatty", bool)()) and not dumb
    notebook = not terminal and ("ipykernel" in sys.modules or "PYCHARM_HOSTED" in os.environ)
    if stream is None or not settings.get("interactive_logging"):
        terminal = notebook = False
    overwrites = terminal or notebook
    return Screen(
        overwrites=overwrites,
        in_place=terminal,
        colours=overwrites and not dumb and not os.environ.get("NO_COLOR"),
        width=_columns(stream) - 1 if terminal else None,  # the last one would break the line
        bar=(_DONE, _LEFT) if can_show(_DONE + _LEFT) else ("=", "."),
    )


def _columns(stream: TextIO) -> int:
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (AttributeError, OSError, ValueError):
        columns = 0
    return columns or shutil.get_terminal_size().columns


def can_show(text: str) -> bool:
    """Whether the encoding of standard output has the characters of `text`."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def showable(text: str) -> str:
    """`text`, in characters that standard output can show."""
    if can_show(text):
        return text
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        return text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:
        return text.translate(_PLAIN)


def write(text: str, line_break: bool = True) -> None:
    """Write `text`, by default as a line of its own."""
    if not settings.get("interactive_logging"):
        logging.getLogger("densekit").info(text)
        return
    if sys.stdout is not None:
        sys.stdout.write(showable(f"{text}\n" if line_break else text))
        sys.stdout.flush()
