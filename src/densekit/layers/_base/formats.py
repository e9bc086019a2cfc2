"""Where the channels are: the argument `data_format`."""

from __future__ import annotations

from densekit._core import settings
from densekit._core.errors import describe, message


def checked_format(where: str, data_format: str | None) -> str:
    """``"channels_first"`` or ``"channels_last"``; None is `config.image_data_format`."""
    found = str(data_format or settings.get("image_data_format")).lower()
    if found not in ("channels_first", "channels_last"):
        raise ValueError(
            message(
                where,
                "`data_format` 'channels_first' or 'channels_last'",
                describe(data_format),
                "Leave it out.",
            )
        )
    return found
