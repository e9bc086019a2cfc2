"""Sweeps: many small networks trained side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.sweeps._fit_many import fit_many as fit_many
    from densekit.sweeps._sweep import Sweep as Sweep
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "_fit_many": "fit_many",
            "_sweep": "Sweep",
        },
        of_components=False,
    )
