"""Element by element: arithmetic, exponentials and logarithms, rounding, trigonometry."""

from __future__ import annotations

from typing import Any

import numpy as np

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
def add(x1: Any, x2: Any) -> Any:
    """Sum ``x1 + x2``."""
    xp, x1, x2 = meet(x1, x2)
    return xp.add(x1, x2)


@operation("numpy", tensors=2)
def subtract(x1: Any, x2: Any) -> Any:
    """Difference ``x1 - x2``."""
    xp, x1, x2 = meet(x1, x2)
    return xp.subtract(x1, x2)


@operation("numpy", tensors=2)
def multiply(x1: Any, x2: Any) -> Any:
    """Product ``x1 * x2``."""
    xp, x1, x2 = meet(x1, x2)
    return xp.multiply(x1, x2)


def _quotient(x1: Any, x2: Any) -> Any:
    xp, x1, x2 = meet(x1, x2)
    if not is_jax(xp) and (x2 if type(x1) in SCALARS else x1).dtype.kind in "biu":
        x1, x2 = floating(as_array(x1)), floating(as_array(x2))
    return xp.true_divide(x1, x2)


@operation("numpy", tensors=2, quiet=True)
def divide(x1: Any, x2: Any) -> Any:
    """Quotient ``x1 / x2``; integers give floats."""
    return _quotient(x1, x2)


@operation("numpy", tensors=2, quiet=True)
def true_divide(x1: Any, x2: Any) -> Any:
    """The same as `divide`."""
    return _quotient(x1, x2)


@operation("numpy", tensors=2)
def divide_no_nan(x1: Any, x2: Any) -> Any:
    """Quotient ``x1 / x2``, and 0 where ``x2 == 0``."""
    xp, x1, x2 = meet(x1, x2)
    zero = xp.equal(x2, 0)
    return xp.where(zero, 0, _quotient(x1, xp.where(zero, 1, x2)))


@operation("numpy", tensors=2, quiet=True)
def floor_divide(x1: Any, x2: Any) -> Any:
    """Largest integer below ``x1 / x2``."""
    xp, x1, x2 = meet(x1, x2)
    return xp.floor_divide(x1, x2)


@operation("numpy", tensors=2, quiet=True)
def mod(x1: Any, x2: Any) -> Any:
    """Remainder of `floor_divide`; it has the sign of `x2`."""
    xp, x1, x2 = meet(x1, x2)
    return xp.mod(x1, x2)


@operation("numpy", tensors=2, quiet=True)
def power(x1: Any, x2: Any) -> Any:
    """``x1 ** x2``."""
    xp, x1, x2 = meet(x1, x2)
    return xp.power(x1, x2)


@operation("numpy", tensors=2)
def maximum(x1: Any, x2: Any) -> Any:
    """The larger one, NaN if either is."""
    xp, x1, x2 = meet(x1, x2)
    return xp.maximum(x1, x2)


@operation("numpy", tensors=2)
def minimum(x1: Any, x2: Any) -> Any:
    """The smaller one, NaN if either is."""
    xp, x1, x2 = meet(x1, x2)
    return xp.minimum(x1, x2)


@operation("numpy", tensors=3, arguments=("x",))
def clip(x: Any, x_min: Any, x_max: Any) -> Any:
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
def negative(x: Any) -> Any:
    """``-x``."""
    return namespace(x).negative(x)


@operation("numpy", alias="abs")
def absolute(x: Any) -> Any:
    """Absolute value; its slope at 0 is taken as 0."""
    return namespace(x).abs(x)


abs = absolute


@operation("numpy")
def sign(x: Any) -> Any:
    """-1, 0 or 1."""
    return namespace(x).sign(x)


@operation("numpy")
def square(x: Any) -> Any:
    """``x * x``."""
    x = astype(x, "int32") if dtype_name(x) == "bool" else x
    return namespace(x).square(x)


@operation("numpy", quiet=True)
def sqrt(x: Any) -> Any:
    """Square root, NaN for negative numbers."""
    return namespace(x).sqrt(floating(x))


@operation("math", quiet=True)
def rsqrt(x: Any) -> Any:
    """``1 / sqrt(x)``."""
    return 1.0 / namespace(x).sqrt(floating(x))


@operation("numpy", quiet=True)
def reciprocal(x: Any) -> Any:
    """``1 / x``."""
    return 1.0 / floating(x)


@operation("numpy", quiet=True)
def exp(x: Any) -> Any:
    """e to the power of `x`."""
    return namespace(x).exp(floating(x))


@operation("numpy", quiet=True)
def exp2(x: Any) -> Any:
    """2 to the power of `x`."""
    return namespace(x).exp2(floating(x))


@operation("numpy", quiet=True)
def expm1(x: Any) -> Any:
    """``exp(x) - 1``, exact near 0."""
    return namespace(x).expm1(floating(x))


@operation("numpy", quiet=True)
def log(x: Any) -> Any:
    """Natural logarithm."""
    return namespace(x).log(floating(x))


@operation("numpy", quiet=True)
def log1p(x: Any) -> Any:
    """``log(1 + x)``, exact near 0."""
    return namespace(x).log1p(floating(x))


@operation("numpy", quiet=True)
def log2(x: Any) -> Any:
    """Logarithm to base 2."""
    return namespace(x).log2(floating(x))


@operation("numpy", quiet=True)
def log10(x: Any) -> Any:
    """Logarithm to base 10."""
    return namespace(x).log10(floating(x))


@operation("numpy", tensors=2)
def logaddexp(x1: Any, x2: Any) -> Any:
    """``log(exp(x1) + exp(x2))`` without overflow."""
    xp, x1, x2 = meet(x1, x2)
    return xp.logaddexp(x1, x2)


@operation("numpy")
def floor(x: Any) -> Any:
    """Largest integer not above, as a float."""
    return namespace(x).floor(floating(x))


@operation("numpy")
def ceil(x: Any) -> Any:
    """Smallest integer not below, as a float."""
    return namespace(x).ceil(floating(x))


@operation("numpy")
def trunc(x: Any) -> Any:
    """Integer part."""
    return namespace(x).trunc(x)


@operation("numpy")
def round(x: Any, decimals: int = 0) -> Any:
    """Rounded to `decimals` digits, halves to even."""
    return namespace(x).round(x, decimals)


@operation("numpy")
def sin(x: Any) -> Any:
    """Sine."""
    return namespace(x).sin(floating(x))


@operation("numpy")
def cos(x: Any) -> Any:
    """Cosine."""
    return namespace(x).cos(floating(x))


@operation("numpy")
def tan(x: Any) -> Any:
    """Tangent."""
    return namespace(x).tan(floating(x))


@operation("numpy")
def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return namespace(x).tanh(floating(x))


@operation("numpy", quiet=True)
def sinh(x: Any) -> Any:
    """Hyperbolic sine."""
    return namespace(x).sinh(floating(x))


@operation("numpy", quiet=True)
def cosh(x: Any) -> Any:
    """Hyperbolic cosine."""
    return namespace(x).cosh(floating(x))


@operation("numpy", quiet=True)
def arcsin(x: Any) -> Any:
    """Inverse sine."""
    return namespace(x).arcsin(floating(x))


@operation("numpy", quiet=True)
def arccos(x: Any) -> Any:
    """Inverse cosine."""
    return namespace(x).arccos(floating(x))


@operation("numpy")
def arctan(x: Any) -> Any:
    """Inverse tangent."""
    return namespace(x).arctan(floating(x))


@operation("numpy", quiet=True)
def arctanh(x: Any) -> Any:
    """Inverse hyperbolic tangent."""
    return namespace(x).arctanh(floating(x))


@operation("numpy", tensors=2)
def arctan2(x1: Any, x2: Any) -> Any:
    """Angle of the point ``(x2, x1)``."""
    xp, x1, x2 = meet(x1, x2)
    return xp.arctan2(x1, x2)


@operation("numpy")
def nan_to_num(
    x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Any:
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
