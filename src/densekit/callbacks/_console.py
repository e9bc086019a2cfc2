"""Where messages of callbacks go: standard output, or the log when interactive logging is off."""

from __future__ import annotations

import logging
import sys

from densekit._core import settings


def write(text: str, line_break: bool = True) -> None:
    """Write `text`, by default as a line of its own."""
    if not settings.get("interactive_logging"):
        logging.getLogger("densekit").info(text)
        return
    text = f"{text}\n" if line_break else text
    stream = sys.stdout
    try:
        stream.write(text)
    except UnicodeEncodeError:  # a terminal that cannot show the bar's character
        encoding = stream.encoding or "ascii"
        text = text.replace("━", "=").encode(encoding, errors="ignore").decode(encoding)
        stream.write(text)
    stream.flush()
