"""Strings as arrays, whatever they come as."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from densekit._core.errors import describe, message

Array = npt.NDArray[Any]


def as_strings(data: Any, where: str, encoding: str = "utf-8") -> Array:
    """`data` as an array of NumPy's strings; bytes are decoded.

    Raises:
        ValueError: if some of it is no string.
    """
    values = np.asarray(data)
    if values.dtype.kind == "U":
        return values
    if values.dtype.kind == "S":
        return np.char.decode(values, encoding)
    if values.dtype.kind == "T":
        return values.astype(str)
    if values.size == 0:
        return values.astype("U1")
    strings = [v.decode(encoding) if isinstance(v, bytes) else v for v in values.ravel()]
    wrong = next((v for v in strings if not isinstance(v, str)), None)
    if values.dtype != object or wrong is not None or None in strings:
        raise ValueError(
            message(where, "strings", describe(values if wrong is None else wrong), "Fill it in.")
        )
    return np.array(strings, str).reshape(values.shape)


def texts_of(data: Any, where: str) -> Array:
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
