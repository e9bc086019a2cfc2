"""Arrays of other libraries, by the protocols of NumPy and DLPack."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from densekit._core.types import Array

_ON_HOST = (1, 3)  # DLPack's numbers for memory that a processor reads: plain, pinned for a GPU


def as_numpy(value: object) -> Array:
    """An array of NumPy: the same memory, wherever NumPy can read it; else a copy on the host."""
    where = getattr(value, "__dlpack_device__", None)
    if where is None or isinstance(value, np.ndarray):
        return np.asarray(value)
    on_host = int(where()[0]) in _ON_HOST
    refused: TypeError | None = None
    if on_host and hasattr(value, "__array__"):  # knows more types than DLPack has
        try:
            return np.asarray(value)
        except TypeError as error:
            refused = error
    read: Callable[..., Array] = np.from_dlpack
    try:
        return read(value) if on_host else read(value, device="cpu", copy=True)
    except (BufferError, RuntimeError):
        if refused is not None:
            raise refused from None
        raise


def is_exporter(value: object) -> bool:
    """Whether a value is an array by either protocol."""
    return hasattr(value, "__array__") or hasattr(value, "__dlpack_device__")
