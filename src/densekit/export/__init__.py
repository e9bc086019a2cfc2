"""Models written in formats that other programs run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.export._formats import Writer as Writer
    from densekit.export._formats import export_model as export_model
    from densekit.export._formats import register_format as register_format
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {"_formats": "Writer export_model register_format"},
        of_components=False,
    )
