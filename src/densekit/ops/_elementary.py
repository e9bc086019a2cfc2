"""Element by element: the rarer roots, remainders, bounds and steps."""

from __future__ import annotations

import numpy as np

from densekit._core.errors import describe, message
from densekit._core.types import ArrayLike, TensorLike
from densekit.ops._core_ops import stop_gradient
from densekit.ops._dispatch import (
    SCALARS,
    as_array,
    astype,
    dtype_name,
    floating,
    is_jax,
    is_recorded,
    magnitude,
    meet,
    meet_arrays,
    meet_floats,
    meet_numbers,
    namespace,
    select,
)
from densekit.ops._operation import operation


@operation("numpy")
def cbrt(x: TensorLike) -> TensorLike:
    """Cube root, that of a negative number negative.

    Example:

    >>> from densekit import ops
    >>> ops.cbrt([-8.0, 1.0]).tolist()
    [-2.0, 1.0]
    """
    xp, x = namespace(x), floating(x)
    if not is_recorded(xp):
        return xp.cbrt(x)
    sign: TensorLike = np.where(stop_gradient(x) < 0, -1, 1).astype(x.dtype)  # not 0 at 0
    return sign * (sign * x) ** (1 / 3)  # autograd has no gradient for `cbrt`


@operation("numpy")
def fabs(x: TensorLike) -> TensorLike:
    """Absolute value as a float.

    Example:

    >>> from densekit import ops
    >>> ops.fabs([-1.5, 2.0]).tolist()
    [1.5, 2.0]
    """
    return magnitude(floating(x))


@operation("numpy", tensors=2)
def fmax(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """The larger one; a NaN only where both are.

    Example:

    >>> from densekit import ops
    >>> ops.fmax([1.0, float("nan")], [2.0, 3.0]).tolist()
    [2.0, 3.0]
    """
    xp, x1, x2 = meet(x1, x2)
    if not is_recorded(xp):
        return xp.fmax(x1, x2)
    x1, x2 = as_array(x1), as_array(x2)
    return select(xp, (x1 > x2) | np.isnan(stop_gradient(x2)), x1, x2)


@operation("numpy", tensors=2)
def fmin(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """The smaller one; a NaN only where both are.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> ops.fmin([1.0, np.nan], [2.0, 3.0]).tolist()
    [1.0, 3.0]
    """
    xp, x1, x2 = meet(x1, x2)
    if not is_recorded(xp):
        return xp.fmin(x1, x2)
    x1, x2 = as_array(x1), as_array(x2)
    return select(xp, (x1 < x2) | np.isnan(stop_gradient(x2)), x1, x2)


@operation("numpy", tensors=2, quiet=True)
def fmod(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """``x1 - trunc(x1 / x2) * x2``: the remainder with the sign of `x1`.

    Example:

    >>> from densekit import ops
    >>> ops.fmod([-7.0, 7.0], 3.0).tolist()
    [-1.0, 1.0]
    """
    xp, x1, x2 = meet_numbers(x1, x2)
    if not is_recorded(xp):
        return xp.fmod(x1, x2)
    x2 = as_array(x2)
    # A constant quotient: that is the slope by which JAX differentiates.
    return x1 - x2 * stop_gradient(xp.trunc(x1 / x2))


@operation("numpy", tensors=2)
def heaviside(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """0 where ``x1 < 0``, `x2` where it is 0, else 1.

    Example:

    >>> from densekit import ops
    >>> ops.heaviside([-1.0, 0.0, 2.0], 0.5).tolist()
    [0.0, 0.5, 1.0]
    """
    xp, x1, x2 = meet_floats(x1, x2)
    if not is_recorded(xp):
        return xp.heaviside(x1, x2)
    if type(x1) in SCALARS:
        x1 = np.asarray(x1, x2.dtype)
    step = np.asarray(stop_gradient(x1) > 0, x1.dtype) + 0 * x1
    return select(xp, stop_gradient(x1) == 0, x2, step)


@operation("numpy", tensors=2)
def hypot(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """``sqrt(x1**2 + x2**2)`` without overflow.

    Example:

    >>> from densekit import ops
    >>> ops.hypot([3.0], [4.0]).tolist()
    [5.0]
    """
    xp, x1, x2 = meet_floats(x1, x2)
    if not (is_jax(xp) or is_recorded(xp)):
        return xp.hypot(x1, x2)
    _, x1, x2 = meet_arrays(x1, x2)
    x1, x2 = magnitude(x1), magnitude(x2)
    size = stop_gradient(xp.maximum(x1, x2))  # squares of what is large are too large
    usual = (size > 0) & (size < np.inf)
    size = xp.where(usual, size, 1)
    squares = xp.square(x1 / size) + xp.square(x2 / size)
    zero = stop_gradient(squares) == 0  # where the slope is taken as 0
    return select(xp, zero, 0.0, size * xp.sqrt(select(xp, zero, 1.0, squares)))


@operation("numpy", tensors=2, convert=as_array, quiet=True)
def ldexp(x1: TensorLike, x2: TensorLike) -> TensorLike:
    """``x1 * 2**x2`` for integers `x2`.

    Example:

    >>> from densekit import ops
    >>> ops.ldexp([1.0, 3.0], [2, -1]).tolist()
    [4.0, 1.5]
    """
    if x2.dtype.kind not in "iu":
        action = "Cast `x2` to 'int32'."
        raise TypeError(message("ops.ldexp", "whole numbers as `x2`", describe(x2), action))
    xp, x1 = namespace(x1, x2), floating(x1)
    if not is_recorded(xp):
        return astype(xp.ldexp(x1, x2), dtype_name(x1))
    return x1 * np.ldexp(np.ones((), x1.dtype), stop_gradient(x2))


@operation("numpy", tensors=2)
def nextafter(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """The number next to `x1` on the way to `x2` that the type can hold.

    Example:

    >>> from densekit import ops
    >>> bool(ops.nextafter(1.0, 2.0) > 1.0)
    True
    """
    xp, x1, x2 = meet_floats(x1, x2)
    return xp.nextafter(x1, x2)


@operation("numpy")
def signbit(x: TensorLike) -> TensorLike:
    """Whether the sign is a minus, that of -0.0 too.

    Example:

    >>> from densekit import ops
    >>> ops.signbit([-1.0, -0.0, 0.0]).tolist()
    [True, True, False]
    """
    x = stop_gradient(x)
    xp = namespace(x)
    return xp.signbit(x) if is_jax(xp) or x.dtype.kind != "b" else np.zeros(x.shape, bool)


@operation("numpy", keeps_dtype=True)
def sinc(x: TensorLike) -> TensorLike:
    """``sin(pi x) / (pi x)``, and 1 at 0.

    Example:

    >>> from densekit import ops
    >>> ops.sinc([0.0]).tolist()
    [1.0]
    """
    xp, x = namespace(x), floating(x)
    if not is_recorded(xp):
        return xp.sinc(x)
    angle = x * np.pi
    square = angle * angle
    series = 1 - square / 6 + square * square / 120  # to the last digit where the sine is not near
    near = stop_gradient(square) < 1e-4
    far = select(xp, near, 1.0, angle)
    return select(xp, near, series, xp.sin(far) / far)


@operation("numpy", "Isposinf")
def isposinf(x: TensorLike) -> TensorLike:
    """Whether an element is plus infinity.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> ops.isposinf([np.inf, -np.inf, 0.0]).tolist()
    [True, False, False]
    """
    return namespace(x).isposinf(x)


@operation("numpy", "Isneginf")
def isneginf(x: TensorLike) -> TensorLike:
    """Whether an element is minus infinity.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> ops.isneginf([np.inf, -np.inf, 0.0]).tolist()
    [False, True, False]
    """
    return namespace(x).isneginf(x)


@operation("numpy", tensors=2)
def logaddexp2(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """``log2(2**x1 + 2**x2)`` without overflow.

    Example:

    >>> from densekit import ops
    >>> float(ops.logaddexp2(2.0, 2.0))
    3.0
    """
    xp, x1, x2 = meet_floats(x1, x2, widens=True)
    return xp.logaddexp2(x1, x2)
