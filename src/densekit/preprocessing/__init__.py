"""Keras' older names for what prepares data: `sequence.pad_sequences`, windows over a series."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.preprocessing import sequence as sequence
    from densekit.utils import timeseries_dataset_from_array as timeseries_dataset_from_array
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {"sequence": "", "densekit.utils": "timeseries_dataset_from_array"},
        of_components=False,
    )
