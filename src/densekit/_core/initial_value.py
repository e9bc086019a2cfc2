"""What a variable starts with, in a buffer that native code can read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from densekit._core.allowance import claim
from densekit._core.dtypes import standardize_dtype, storable_dtype, to_numpy_dtype
from densekit._core.errors import message, returned
from densekit._core.registry import builtin, get_registered_object

if TYPE_CHECKING:
    from densekit._core.types import Array

T = TypeVar("T")

_ALIGNMENT = 64  # bytes: one cache line, one AVX-512 vector


def aligned_empty(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """An uninitialised C-contiguous array that starts on a cache line."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.empty(size + _ALIGNMENT, dtype=np.uint8)
    offset = -raw.ctypes.data % _ALIGNMENT
    return raw[offset : offset + size].view(dtype).reshape(shape)


def initial_value(
    path: str, initializer: object, shape: tuple[int, ...] | None, dtype: object
) -> Array:
    """A buffer with the value of a variable: given, or made by an initializer or its name."""
    where = f"Variable {path!r}"
    if isinstance(initializer, str):
        found = get_registered_object(initializer) or builtin("keras.initializers", initializer)
        if found is None:
            raise ValueError(
                message(
                    where,
                    "a value, an initializer or the name of one",
                    repr(initializer),
                    "Pass e.g. 'zeros'.",
                )
            )
        initializer = found() if isinstance(found, type) else found
    if callable(initializer):
        if shape is None:
            raise ValueError(
                message(
                    where,
                    "a `shape` beside a callable initializer",
                    "shape=None",
                    "Pass `shape`.",
                )
            )
        shape = tuple(shape)
        if any(n is None for n in shape):
            raise ValueError(
                message(
                    where,
                    "a fully defined shape",
                    f"shape={shape}",
                    "Give every dimension a size.",
                )
            )
        name = storable_dtype(dtype)
        size = math.prod(shape) * to_numpy_dtype(name).itemsize
        claim(size, where, f"shape {shape}")
        given = returned(initializer(shape, dtype=name), initializer, "initial values")
    else:
        given = not_none(path, getattr(initializer, "value", initializer))
        if dtype is None:
            dtype = getattr(given, "dtype", None) or _python_dtype(given)
        name = storable_dtype(dtype)
    given = np.asarray(given)
    if callable(initializer) and given.shape != shape:
        raise ValueError(
            message(
                where,
                f"an initial value of shape {shape}",
                f"shape {given.shape}",
                "Let the initializer return the shape it is asked for.",
            )
        )
    value = aligned_empty(given.shape, to_numpy_dtype(name))
    value[...] = given
    return value


def not_none(path: str, value: T | None) -> T:
    """The value, refused if it is None, which NumPy would take for nan."""
    if value is None:
        raise ValueError(message(f"Variable {path!r}", "a number or an array", "None", "Pass one."))
    return value


def _python_dtype(value: object) -> str:
    """Element type for a value that carries none: floats become `floatx`, ints int32."""
    kind = np.asarray(value).dtype
    if kind.kind == "f":
        return standardize_dtype(None)
    return "int32" if kind.kind in "iu" else kind.name
