"""Element by element: arithmetic, exponentials and logarithms, rounding, trigonometry."""

from __future__ import annotations

from typing import Any

import numpy as np

from densekit._core.types import ArrayLike, Namespace, TensorLike
from densekit.ops._dispatch import (
    SCALARS,
    as_array,
    astype,
    dtype_name,
    floating,
    is_jax,
    meet,
    namespace,
)
from densekit.ops._operation import operation


@operation("numpy", tensors=2)
def add(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Sum ``x1 + x2``."""
    xp, x1, x2 = meet(x1, x2)
    return xp.add(x1, x2)


@operation("numpy", tensors=2)
def subtract(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Difference ``x1 - x2``."""
    xp, x1, x2 = meet(x1, x2)
    return xp.subtract(x1, x2)


@operation("numpy", tensors=2)
def multiply(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Product ``x1 * x2``."""
    xp, x1, x2 = meet(x1, x2)
    return xp.multiply(x1, x2)


def _quotient(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    xp, x1, x2 = meet(x1, x2)
    if not is_jax(xp) and (x2 if type(x1) in SCALARS else x1).dtype.kind in "biu":
        x1, x2 = floating(as_array(x1)), floating(as_array(x2))
    return xp.true_divide(x1, x2)


@operation("numpy", tensors=2, quiet=True)
def divide(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Quotient ``x1 / x2``; integers give floats."""
    return _quotient(x1, x2)


@operation("numpy", tensors=2, quiet=True)
def true_divide(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """The same as `divide`."""
    return _quotient(x1, x2)


@operation("numpy", tensors=2)
def divide_no_nan(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Quotient ``x1 / x2``, and 0 where ``x2 == 0``."""
    xp, x1, x2 = meet(x1, x2)
    zero = xp.equal(x2, 0)
    return xp.where(zero, 0, _quotient(x1, xp.where(zero, 1, x2)))


@operation("numpy", tensors=2, quiet=True)
def floor_divide(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Largest integer below ``x1 / x2``."""
    xp, x1, x2 = meet(x1, x2)
    return xp.floor_divide(x1, x2)


@operation("numpy", tensors=2, quiet=True)
def mod(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Remainder of `floor_divide`; it has the sign of `x2`."""
    xp, x1, x2 = meet(x1, x2)
    return xp.mod(x1, x2)


@operation("numpy", tensors=2, quiet=True)
def power(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """``x1 ** x2``."""
    xp, x1, x2 = meet(x1, x2)
    return xp.power(x1, x2)


@operation("numpy", tensors=2)
def maximum(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """The larger one, NaN if either is."""
    xp, x1, x2 = meet(x1, x2)
    return xp.maximum(x1, x2)


@operation("numpy", tensors=2)
def minimum(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """The smaller one, NaN if either is."""
    xp, x1, x2 = meet(x1, x2)
    return xp.minimum(x1, x2)


@operation("numpy", tensors=3, arguments=("x",))
def clip(x: Any, x_min: ArrayLike, x_max: ArrayLike) -> TensorLike:
    """``minimum(maximum(x, x_min), x_max)``."""
    x = np.asarray(x) if isinstance(x, bool | int | float) else x
    if dtype_name(x) == "bool":
        x = astype(x, "int32")
    dtype = dtype_name(x)
    for bound, choose in ((x_min, "maximum"), (x_max, "minimum")):
        if bound is not None:
            xp, x, limit = meet(x, bound)
            x = getattr(xp, choose)(x, limit)
    return astype(x, dtype)


@operation("numpy")
def negative(x: TensorLike) -> TensorLike:
    """``-x``."""
    return namespace(x).negative(x)


@operation("numpy", alias="abs")
def absolute(x: TensorLike) -> TensorLike:
    """Absolute value; its slope at 0 is taken as 0."""
    return namespace(x).abs(x)


abs = absolute


@operation("numpy")
def sign(x: TensorLike) -> TensorLike:
    """The sign of each element: -1, 0 or 1."""
    return namespace(x).sign(x)


@operation("numpy")
def square(x: TensorLike) -> TensorLike:
    """``x * x``."""
    x = astype(x, "int32") if dtype_name(x) == "bool" else x
    return namespace(x).square(x)


@operation("numpy", quiet=True)
def sqrt(x: TensorLike) -> TensorLike:
    """Square root, NaN for negative numbers."""
    return namespace(x).sqrt(floating(x))


@operation("math", quiet=True, keeps_dtype=True)
def rsqrt(x: TensorLike) -> TensorLike:
    """``1 / sqrt(x)``."""
    return 1.0 / namespace(x).sqrt(floating(x))


@operation("numpy", quiet=True, keeps_dtype=True)
def reciprocal(x: TensorLike) -> TensorLike:
    """``1 / x``."""
    return 1.0 / floating(x)


@operation("numpy", quiet=True)
def exp(x: TensorLike) -> TensorLike:
    """The exponential: e to the power of `x`."""
    return namespace(x).exp(floating(x))


@operation("numpy", quiet=True)
def exp2(x: TensorLike) -> TensorLike:
    """2 to the power of `x`."""
    return namespace(x).exp2(floating(x))


@operation("numpy", quiet=True)
def expm1(x: TensorLike) -> TensorLike:
    """``exp(x) - 1``, exact near 0."""
    return namespace(x).expm1(floating(x))


@operation("numpy", quiet=True)
def log(x: TensorLike) -> TensorLike:
    """Natural logarithm."""
    return namespace(x).log(floating(x))


@operation("numpy", quiet=True)
def log1p(x: TensorLike) -> TensorLike:
    """``log(1 + x)``, exact near 0."""
    return namespace(x).log1p(floating(x))


@operation("numpy", quiet=True)
def log2(x: TensorLike) -> TensorLike:
    """Logarithm to base 2."""
    return namespace(x).log2(floating(x))


@operation("numpy", quiet=True)
def log10(x: TensorLike) -> TensorLike:
    """Logarithm to base 10."""
    return namespace(x).log10(floating(x))


def _floats(x1: ArrayLike, x2: ArrayLike) -> tuple[Namespace, TensorLike, TensorLike]:
    """`meet`, and integers as floats."""
    xp, x1, x2 = meet(x1, x2)
    x1, x2 = (x if type(x) in SCALARS else floating(x) for x in (x1, x2))
    return xp, x1, x2


@operation("numpy", tensors=2)
def logaddexp(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """``log(exp(x1) + exp(x2))`` without overflow."""
    xp, x1, x2 = _floats(x1, x2)
    return xp.logaddexp(x1, x2)


@operation("numpy")
def floor(x: TensorLike) -> TensorLike:
    """Largest integer not above, as a float."""
    return namespace(x).floor(floating(x))


@operation("numpy")
def ceil(x: TensorLike) -> TensorLike:
    """Smallest integer not below, as a float."""
    return namespace(x).ceil(floating(x))


@operation("numpy")
def trunc(x: TensorLike) -> TensorLike:
    """Integer part."""
    return namespace(x).trunc(x)


@operation("numpy")
def round(x: TensorLike, decimals: int = 0) -> TensorLike:
    """Rounded to `decimals` digits, halves to even."""
    return namespace(x).round(x, decimals)


@operation("numpy")
def sin(x: TensorLike) -> TensorLike:
    """Sine."""
    return namespace(x).sin(floating(x))


@operation("numpy")
def cos(x: TensorLike) -> TensorLike:
    """Cosine."""
    return namespace(x).cos(floating(x))


@operation("numpy")
def tan(x: TensorLike) -> TensorLike:
    """Tangent."""
    return namespace(x).tan(floating(x))


@operation("numpy")
def tanh(x: TensorLike) -> TensorLike:
    """Hyperbolic tangent."""
    return namespace(x).tanh(floating(x))


@operation("numpy", quiet=True)
def sinh(x: TensorLike) -> TensorLike:
    """Hyperbolic sine."""
    return namespace(x).sinh(floating(x))


@operation("numpy", quiet=True)
def cosh(x: TensorLike) -> TensorLike:
    """Hyperbolic cosine."""
    return namespace(x).cosh(floating(x))


@operation("numpy", quiet=True)
def arcsin(x: TensorLike) -> TensorLike:
    """Inverse sine."""
    return namespace(x).arcsin(floating(x))


@operation("numpy", quiet=True)
def arccos(x: TensorLike) -> TensorLike:
    """Inverse cosine."""
    return namespace(x).arccos(floating(x))


@operation("numpy")
def arctan(x: TensorLike) -> TensorLike:
    """Inverse tangent."""
    return namespace(x).arctan(floating(x))


@operation("numpy", quiet=True)
def arctanh(x: TensorLike) -> TensorLike:
    """Inverse hyperbolic tangent."""
    return namespace(x).arctanh(floating(x))


@operation("numpy", tensors=2)
def arctan2(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Angle of the point ``(x2, x1)``."""
    xp, x1, x2 = _floats(x1, x2)
    return xp.arctan2(x1, x2)


@operation("numpy")
def nan_to_num(
    x: TensorLike, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> TensorLike:
    """`x` with NaN and infinities replaced; None stands for the largest number of the type."""
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
