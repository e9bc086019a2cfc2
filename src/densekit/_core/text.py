"""Strings as arrays, whatever they come as."""

from __future__ import annotations

import numpy as np

from densekit._core.errors import describe, message
from densekit._core.types import Array


def as_strings(data: object, where: str, encoding: str = "utf-8") -> Array:
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


def holds_text(data: object) -> bool:
    """Whether an array or a column of a table holds strings, some perhaps missing."""
    dtype = getattr(data, "dtype", None)
    kind = getattr(dtype, "kind", "O")
    if kind in "UST":
        return True
    if kind != "O" or not hasattr(data, "__array__"):
        return False
    return any(isinstance(value, str | bytes) for value in np.asarray(data).ravel()[:100])
