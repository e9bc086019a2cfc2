"""Two numbers of four bits in a byte."""

from __future__ import annotations

import numpy as np

from densekit import ops
from densekit._core.dtypes import standardize_dtype
from densekit._core.errors import describe, message
from densekit._core.types import Shape, TensorLike
from densekit._core.variable import Variable


def pack_int4(arr: TensorLike, axis: int = 0, dtype: str = "int8") -> tuple[TensorLike, Shape, int]:
    """Put neighbours along an axis into one byte, the first into its low half.

    Args:
        arr: int8 or uint8 numbers; four bits of each are kept.
        axis: along which they are paired; an odd length is filled up with a 0. Default: 0.
        dtype: ``"int8"`` or ``"uint8"``, of `arr` and the result. Default: ``"int8"``.

    Returns:
        The bytes, their shape, and the length of the axis before.

    Raises:
        ValueError: for another `dtype`.
        TypeError: if `arr` is of another type than `dtype`.

    Example:

    >>> import densekit as keras
    >>> packed, shape, length = keras.quantizers.pack_int4(
    ...     keras.ops.array([[-3, 7], [2, -8], [1, 0]], dtype="int8")
    ... )
    >>> packed.tolist(), shape, length
    ([[45, -121], [1, 0]], (2, 2), 3)
    """
    _check_dtype("pack_int4", dtype)
    if standardize_dtype(arr.dtype) != dtype:
        raise TypeError(
            message("pack_int4", f"a tensor of {dtype}", describe(arr), "Cast it, or pass `dtype`.")
        )
    numbers = np.moveaxis(ops.convert_to_numpy(arr), axis, 0)
    length = numbers.shape[0]
    if length % 2:
        numbers = np.concatenate([numbers, np.zeros_like(numbers[:1])])
    halves = numbers.view(np.uint8) if numbers.flags.c_contiguous else numbers.astype(np.uint8)
    packed = (halves[::2] & 0x0F) | (halves[1::2] << 4)
    packed = np.ascontiguousarray(np.moveaxis(packed.astype(np.uint8), 0, axis)).view(dtype)
    return ops.convert_to_tensor(packed), packed.shape, length


def unpack_int4(
    packed: TensorLike | Variable, orig_len: int, axis: int = 0, dtype: str = "int8"
) -> TensorLike:
    """The numbers that `pack_int4` put into bytes: in [-8, 7], or for ``"uint8"`` in [0, 15].

    Args:
        packed: int8 or uint8 bytes.
        orig_len: length of the axis before it was packed.
        axis: along which they were paired. Default: 0.
        dtype: ``"int8"`` or ``"uint8"``. Default: ``"int8"``.

    Raises:
        ValueError: for another `dtype`.
        TypeError: if `packed` is no tensor of bytes.

    Example:

    >>> import densekit as keras
    >>> keras.quantizers.unpack_int4(keras.ops.array([45, 1], dtype="int8"), 3).tolist()
    [-3, 2, 1]
    """
    _check_dtype("unpack_int4", dtype)
    if standardize_dtype(packed.dtype) not in ("int8", "uint8"):
        raise TypeError(
            message("unpack_int4", "a tensor of int8 or uint8", describe(packed), "Pack it first.")
        )
    axis %= packed.ndim
    low = ops.bitwise_and(packed, 0x0F)
    high = ops.bitwise_and(ops.right_shift(packed, 4), 0x0F)
    if dtype == "int8":
        low, high = (ops.subtract(ops.bitwise_xor(x, 8), 8) for x in (low, high))
    pairs = ops.stack([ops.cast(low, dtype), ops.cast(high, dtype)], axis=axis + 1)
    shape = packed.shape
    whole = ops.reshape(pairs, (*shape[:axis], 2 * shape[axis], *shape[axis + 1 :]))
    return whole[(*(slice(None),) * axis, slice(orig_len))]


def _check_dtype(where: str, dtype: str) -> None:
    if dtype not in ("int8", "uint8"):
        expected = "`dtype` to be 'int8' or 'uint8'"
        raise ValueError(message(where, expected, describe(dtype), "Pass one of the two."))
