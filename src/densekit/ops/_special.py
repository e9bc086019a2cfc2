"""The error function and its inverse."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from densekit._core.types import TensorLike
from densekit.ops._dispatch import floating, is_jax, namespace
from densekit.ops._operation import operation

_SLOPE = 2.0 / math.sqrt(math.pi)  # of erf at 0


def _elementwise(function: Callable[[float], float], x: TensorLike) -> TensorLike:
    values = [function(value) for value in np.ravel(x).astype(np.float64).tolist()]
    return np.array(values, np.float64).reshape(np.shape(x)).astype(x.dtype)


def _erfinv(y: float) -> float:
    if not abs(y) < 1:
        return math.copysign(math.inf, y) if abs(y) == 1 else math.nan
    if y == 0:
        return y
    from statistics import NormalDist  # slow to import, rarely needed

    # Quantile of the lower tail, where `1 - |y|` loses no digits; one Newton step mends small |y|.
    x = -NormalDist().inv_cdf((1.0 - abs(y)) / 2.0) / math.sqrt(2.0)
    if abs(y) < 0.5:
        x -= (math.erf(x) - abs(y)) / (_SLOPE * math.exp(-x * x))
    return math.copysign(x, y)


def _erf_numpy(x: TensorLike) -> TensorLike:
    return _elementwise(math.erf, x)


def _erfc_numpy(x: TensorLike) -> TensorLike:
    return _elementwise(math.erfc, x)


def _erfinv_numpy(x: TensorLike) -> TensorLike:
    return _elementwise(_erfinv, x)


@lru_cache(maxsize=1)
def _boxed() -> dict[str, Callable[[TensorLike], TensorLike]]:
    """The functions as `autograd` primitives; only asked for when a box is at hand."""
    from autograd import numpy as anp  # optional and slow
    from autograd.extend import defvjp, primitive

    erf_box, erfc_box, erfinv_box = map(primitive, (_erf_numpy, _erfc_numpy, _erfinv_numpy))
    defvjp(erf_box, lambda _, x: lambda g: g * _SLOPE * anp.exp(-x * x))
    defvjp(erfc_box, lambda _, x: lambda g: g * -_SLOPE * anp.exp(-x * x))
    defvjp(erfinv_box, lambda ans, _: lambda g: g / _SLOPE * anp.exp(ans * ans))
    return {"erf": erf_box, "erfc": erfc_box, "erf_inv": erfinv_box}


def _choose(name: str, on_numpy: Callable[[TensorLike], TensorLike], x: TensorLike) -> TensorLike:
    xp = namespace(x)
    if xp is np:
        return on_numpy(x)
    if is_jax(xp):
        found: TensorLike = getattr(sys.modules["jax"].lax, name)(x)
        return found
    return _boxed()[name](x)


def erfc_values(x: TensorLike) -> TensorLike:
    """`erfc` of a floating array of any library."""
    return _choose("erfc", _erfc_numpy, x)


@operation("math")
def erf(x: TensorLike) -> TensorLike:
    """Error function ``2 / sqrt(pi) * integral from 0 to x of exp(-t**2) dt``.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.erf(1.0)), 4)
    0.8427
    """
    return _choose("erf", _erf_numpy, floating(x))


@operation("math")
def erfc(x: TensorLike) -> TensorLike:
    """``1 - erf(x)``, without the cancellation.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.erfc(1.0)), 4)
    0.1573
    """
    return erfc_values(floating(x))


@operation("math")
def erfinv(x: TensorLike) -> TensorLike:
    """Inverse of `erf` on (-1, 1).

    Example:

    >>> from densekit import ops
    >>> round(float(ops.erfinv(0.5)), 4)
    0.4769
    """
    return _choose("erf_inv", _erfinv_numpy, floating(x))
