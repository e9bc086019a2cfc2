"""Values as the texts that are hashed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from densekit._core.text import as_strings
from densekit._core.types import Array


def texts_of(data: object, where: str) -> Array:
    """`data` as strings: whole numbers by their digits, floats cut to whole numbers first."""
    values = np.asarray(data)
    if values.dtype.kind == "f":
        values = values.astype(np.int64)
    if values.dtype.kind == "b":
        return np.where(values, "true", "false")
    return values.astype(str) if values.dtype.kind in "iu" else as_strings(values, where)


def buckets_of(texts: Array, hashed: Callable[[bytes], int], count: int) -> Array:
    """``hash(text) % count`` of each; a text that occurs often is hashed once."""
    found, places = np.unique(texts, return_inverse=True)
    buckets = [hashed(str(text).encode()) % count for text in found]
    return np.array(buckets, np.int64)[places].reshape(texts.shape)
