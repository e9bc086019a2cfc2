"""Integers bit by bit; common divisors and multiples."""

from __future__ import annotations

from densekit._core.errors import describe, message
from densekit._core.types import ArrayLike, TensorLike
from densekit.ops._dispatch import dtype_name, meet, meet_arrays, meet_numbers, namespace
from densekit.ops._operation import operation


@operation("numpy", tensors=2)
def bitwise_and(x: ArrayLike, y: ArrayLike) -> TensorLike:
    """The bits that are set in both.

    Example:

    >>> from densekit import ops
    >>> ops.bitwise_and([6, 5], 3).tolist()
    [2, 1]
    """
    xp, x, y = meet(x, y)
    return xp.bitwise_and(x, y)


@operation("numpy", tensors=2)
def bitwise_or(x: ArrayLike, y: ArrayLike) -> TensorLike:
    """The bits that are set in one or both.

    Example:

    >>> from densekit import ops
    >>> ops.bitwise_or([6, 1], 3).tolist()
    [7, 3]
    """
    xp, x, y = meet(x, y)
    return xp.bitwise_or(x, y)


@operation("numpy", tensors=2)
def bitwise_xor(x: ArrayLike, y: ArrayLike) -> TensorLike:
    """The bits in which the two differ.

    Example:

    >>> from densekit import ops
    >>> ops.bitwise_xor([6, 1], 3).tolist()
    [5, 2]
    """
    xp, x, y = meet(x, y)
    return xp.bitwise_xor(x, y)


@operation("numpy")
def bitwise_not(x: TensorLike) -> TensorLike:
    """Every bit inverted: ``-x - 1`` of signed integers.

    Example:

    >>> from densekit import ops
    >>> ops.bitwise_not([0, 5]).tolist()
    [-1, -6]
    """
    return namespace(x).bitwise_not(x)


@operation("numpy")
def bitwise_invert(x: TensorLike) -> TensorLike:
    """The same as `bitwise_not`.

    Example:

    >>> from densekit import ops
    >>> ops.bitwise_invert([0, 5]).tolist()
    [-1, -6]
    """
    return namespace(x).bitwise_not(x)


@operation("numpy", tensors=2)
def bitwise_left_shift(x: ArrayLike, y: ArrayLike) -> TensorLike:
    """``x * 2**y``: the bits moved up by `y` places.

    Example:

    >>> from densekit import ops
    >>> ops.bitwise_left_shift([1, 3], 2).tolist()
    [4, 12]
    """
    xp, x, y = meet_numbers(x, y)
    return xp.left_shift(x, y)


@operation("numpy", tensors=2)
def left_shift(x: ArrayLike, y: ArrayLike) -> TensorLike:
    """The same as `bitwise_left_shift`.

    Example:

    >>> from densekit import ops
    >>> ops.left_shift([1, 3], 2).tolist()
    [4, 12]
    """
    xp, x, y = meet_numbers(x, y)
    return xp.left_shift(x, y)


@operation("numpy", tensors=2)
def bitwise_right_shift(x: ArrayLike, y: ArrayLike) -> TensorLike:
    """``floor(x / 2**y)``: the bits moved down by `y` places.

    Example:

    >>> from densekit import ops
    >>> ops.bitwise_right_shift([8, 3], 1).tolist()
    [4, 1]
    """
    xp, x, y = meet_numbers(x, y)
    return xp.right_shift(x, y)


@operation("numpy", tensors=2)
def right_shift(x: ArrayLike, y: ArrayLike) -> TensorLike:
    """The same as `bitwise_right_shift`.

    Example:

    >>> from densekit import ops
    >>> ops.right_shift([8, 3], 1).tolist()
    [4, 1]
    """
    xp, x, y = meet_numbers(x, y)
    return xp.right_shift(x, y)


@operation("numpy", tensors=2)
def gcd(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Greatest common divisor.

    Example:

    >>> from densekit import ops
    >>> ops.gcd([12, 18], 8).tolist()
    [4, 2]
    """
    xp, x1, x2 = meet_arrays(x1, x2)
    _require_whole("ops.gcd", x1, x2)
    return xp.gcd(x1, x2)


@operation("numpy", tensors=2)
def lcm(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Least common multiple.

    Example:

    >>> from densekit import ops
    >>> ops.lcm([4, 6], 10).tolist()
    [20, 30]
    """
    xp, x1, x2 = meet_arrays(x1, x2)
    _require_whole("ops.lcm", x1, x2)
    return xp.lcm(x1, x2)


def _require_whole(where: str, *numbers: TensorLike) -> None:
    for x in numbers:
        if "int" not in dtype_name(x):
            raise ValueError(
                message(where, "whole numbers", describe(x), "Cast them to e.g. 'int32'.")
            )
