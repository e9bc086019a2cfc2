"""Element by element: arithmetic, powers and roots, bounds, rounding."""

from __future__ import annotations

import numpy as np

from densekit._core.types import ArrayLike, TensorLike
from densekit.ops._dispatch import (
    PLAIN,
    SCALARS,
    as_array,
    astype,
    dtype_name,
    floating,
    is_jax,
    magnitude,
    meet,
    meet_numbers,
    namespace,
    select,
)
from densekit.ops._operation import operation


@operation("numpy", tensors=2)
def add(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Sum ``x1 + x2``.

    Example:

    >>> from densekit import ops
    >>> ops.add([1, 2], 3).tolist()
    [4, 5]
    """
    xp, x1, x2 = meet(x1, x2)
    return xp.add(x1, x2)


@operation("numpy", tensors=2)
def subtract(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Difference ``x1 - x2``.

    Example:

    >>> from densekit import ops
    >>> ops.subtract([5, 7], 3).tolist()
    [2, 4]
    """
    xp, x1, x2 = meet(x1, x2)
    return xp.subtract(x1, x2)


@operation("numpy", tensors=2)
def multiply(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Product ``x1 * x2``.

    Example:

    >>> from densekit import ops
    >>> ops.multiply([1, 2], [3, 4]).tolist()
    [3, 8]
    """
    xp, x1, x2 = meet(x1, x2)
    return xp.multiply(x1, x2)


def _quotient(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    xp, x1, x2 = meet(x1, x2)
    if not is_jax(xp) and (x2 if type(x1) in SCALARS else x1).dtype.kind in "biu":
        x1, x2 = floating(as_array(x1)), floating(as_array(x2))
    return xp.true_divide(x1, x2)


@operation("numpy", tensors=2, quiet=True)
def divide(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Quotient ``x1 / x2``; integers give floats.

    Example:

    >>> from densekit import ops
    >>> ops.divide([1, 3], 2).tolist()
    [0.5, 1.5]
    """
    return _quotient(x1, x2)


@operation("numpy", tensors=2, quiet=True)
def true_divide(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """The same as `divide`.

    Example:

    >>> from densekit import ops
    >>> ops.true_divide([1, 3], 2).tolist()
    [0.5, 1.5]
    """
    return _quotient(x1, x2)


@operation("numpy", tensors=2)
def divide_no_nan(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Quotient ``x1 / x2``, and 0 where ``x2 == 0``.

    Example:

    >>> from densekit import ops
    >>> ops.divide_no_nan([1.0, 3.0], [0.0, 2.0]).tolist()
    [0.0, 1.5]
    """
    xp, x1, x2 = meet(x1, x2)
    if type(x2) in SCALARS:
        return _quotient(x1, x2) if x2 else 0 * _quotient(x1, 1)
    zero = xp.equal(x2, 0)
    return xp.where(zero, 0, _quotient(x1, xp.where(zero, 1, x2)))


@operation("numpy", tensors=2, quiet=True)
def floor_divide(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Largest integer below ``x1 / x2``.

    Example:

    >>> from densekit import ops
    >>> ops.floor_divide([7, -7], 2).tolist()
    [3, -4]
    """
    xp, x1, x2 = meet_numbers(x1, x2)
    return xp.floor_divide(x1, x2)


@operation("numpy", tensors=2, quiet=True)
def mod(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Remainder of `floor_divide`; it has the sign of `x2`.

    Example:

    >>> from densekit import ops
    >>> ops.mod([7, -7], 3).tolist()
    [1, 2]
    """
    xp, x1, x2 = meet_numbers(x1, x2)
    return xp.mod(x1, x2)


@operation("numpy", tensors=2, quiet=True)
def power(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """``x1 ** x2``.

    Example:

    >>> from densekit import ops
    >>> ops.power([2.0, 3.0], 2).tolist()
    [4.0, 9.0]
    """
    is_zero = np.asarray(x2) == 0 if type(x2) in PLAIN else np.zeros((), bool)
    xp, x1, x2 = meet_numbers(x1, x2)
    if xp is not np and np.any(is_zero):
        # 1, with the slope 0, which JAX takes to be 0 / 0 where the base is 0, others at infinity.
        return select(xp, is_zero, 1.0, xp.power(select(xp, is_zero, 1.0, x1), x2))
    return xp.power(x1, x2)


@operation("numpy", tensors=2)
def maximum(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """The larger one, NaN if either is.

    Example:

    >>> from densekit import ops
    >>> ops.maximum([1, 5], 3).tolist()
    [3, 5]
    """
    xp, x1, x2 = meet(x1, x2)
    return xp.maximum(x1, x2)


@operation("numpy", tensors=2)
def minimum(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """The smaller one, NaN if either is.

    Example:

    >>> from densekit import ops
    >>> ops.minimum([1, 5], 3).tolist()
    [1, 3]
    """
    xp, x1, x2 = meet(x1, x2)
    return xp.minimum(x1, x2)


@operation("numpy", tensors=3, arguments=("x",))
def clip(x: ArrayLike, x_min: ArrayLike, x_max: ArrayLike) -> TensorLike:
    """``minimum(maximum(x, x_min), x_max)``.

    Example:

    >>> from densekit import ops
    >>> ops.clip([-2.0, 0.5, 3.0], 0.0, 1.0).tolist()
    [0.0, 0.5, 1.0]
    """
    y = as_array(x)
    if dtype_name(y) == "bool":
        y = astype(y, "int32")
    for bound, choose in ((x_min, "maximum"), (x_max, "minimum")):
        if bound is not None:
            xp, y, limit = meet(y, bound)
            y = getattr(xp, choose)(y, limit)
    return y


@operation("numpy")
def negative(x: TensorLike) -> TensorLike:
    """``-x``.

    Example:

    >>> from densekit import ops
    >>> ops.negative([1.0, -2.0]).tolist()
    [-1.0, 2.0]
    """
    return namespace(x).negative(x)


@operation("numpy", alias="abs")
def absolute(x: TensorLike) -> TensorLike:
    """Absolute value; its slope at 0 is taken as 0.

    Example:

    >>> from densekit import ops
    >>> ops.abs([-1.5, 2.0]).tolist()
    [1.5, 2.0]
    """
    return magnitude(x)


abs = absolute


@operation("numpy")
def sign(x: TensorLike) -> TensorLike:
    """The sign of each element: -1, 0 or 1.

    Example:

    >>> from densekit import ops
    >>> ops.sign([-3.0, 0.0, 2.0]).tolist()
    [-1.0, 0.0, 1.0]
    """
    return namespace(x).sign(x)


@operation("numpy")
def square(x: TensorLike) -> TensorLike:
    """``x * x``.

    Example:

    >>> from densekit import ops
    >>> ops.square([-3.0]).tolist()
    [9.0]
    """
    x = astype(x, "int32") if dtype_name(x) == "bool" else x
    return namespace(x).square(x)


@operation("numpy", quiet=True)
def sqrt(x: TensorLike) -> TensorLike:
    """Square root, NaN for negative numbers.

    Example:

    >>> from densekit import ops
    >>> ops.sqrt([9.0]).tolist()
    [3.0]
    """
    return namespace(x).sqrt(floating(x))


@operation("math", quiet=True, keeps_dtype=True)
def rsqrt(x: TensorLike) -> TensorLike:
    """``1 / sqrt(x)``.

    Example:

    >>> from densekit import ops
    >>> ops.rsqrt([4.0]).tolist()
    [0.5]
    """
    return 1.0 / namespace(x).sqrt(floating(x))


@operation("numpy", quiet=True, keeps_dtype=True)
def reciprocal(x: TensorLike) -> TensorLike:
    """``1 / x``.

    Example:

    >>> from densekit import ops
    >>> ops.reciprocal([4.0]).tolist()
    [0.25]
    """
    return 1.0 / floating(x)


@operation("numpy")
def floor(x: TensorLike) -> TensorLike:
    """Largest integer not above, as a float.

    Example:

    >>> from densekit import ops
    >>> ops.floor([1.8, -1.2]).tolist()
    [1.0, -2.0]
    """
    return namespace(x).floor(floating(x))


@operation("numpy")
def ceil(x: TensorLike) -> TensorLike:
    """Smallest integer not below, as a float.

    Example:

    >>> from densekit import ops
    >>> ops.ceil([1.2, -1.2]).tolist()
    [2.0, -1.0]
    """
    return namespace(x).ceil(floating(x))


@operation("numpy")
def trunc(x: TensorLike) -> TensorLike:
    """Integer part.

    Example:

    >>> from densekit import ops
    >>> ops.trunc([1.8, -1.8]).tolist()
    [1.0, -1.0]
    """
    return namespace(x).trunc(x)


@operation("numpy")
def round(x: TensorLike, decimals: int = 0) -> TensorLike:
    """Rounded to `decimals` digits, halves to even.

    Example:

    >>> from densekit import ops
    >>> ops.round([0.5, 1.5, 2.7]).tolist()
    [0.0, 2.0, 3.0]
    """
    return namespace(x).round(x, decimals)


@operation("numpy")
def nan_to_num(
    x: TensorLike, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> TensorLike:
    """`x` with NaN and infinities replaced; None stands for the largest number of the type.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> ops.nan_to_num([1.0, np.nan], nan=-1.0).tolist()
    [1.0, -1.0]
    """
    if x.dtype.kind in "biu":
        return x
    xp = namespace(x)
    limit = _largest(dtype_name(x))
    high = limit if posinf is None else posinf
    low = -limit if neginf is None else neginf
    for condition, value in ((xp.isnan(x), nan), (x == np.inf, high), (x == -np.inf, low)):
        x = xp.where(condition, np.asarray(value, x.dtype), x)
    return x


def _largest(dtype: str) -> float:
    return 3.3895314e38 if dtype == "bfloat16" else float(np.finfo(dtype).max)
