"""Windows of signal processing, and the Bessel function in one of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from densekit._core.dtypes import to_numpy_dtype
from densekit._core.types import Array, TensorLike
from densekit.ops._dispatch import astype, dtype_name, floating, is_jax, namespace
from densekit.ops._operation import operation


def _window(function: Callable[..., Array], size: TensorLike, *shape: float) -> TensorLike:
    return function(int(size), *shape).astype(to_numpy_dtype(None))


@operation("numpy")
def bartlett(x: TensorLike) -> TensorLike:
    """Triangle of `x` points that begins and ends at 0.

    Example:

    >>> from densekit import ops
    >>> ops.bartlett(5).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    return _window(np.bartlett, x)


@operation("numpy")
def blackman(x: TensorLike) -> TensorLike:
    """Window of `x` points: ``0.42 - 0.5 cos(2 pi n / (x - 1)) + 0.08 cos(4 pi n / (x - 1))``.

    Example:

    >>> from densekit import ops
    >>> [round(x, 2) for x in ops.blackman(5)[1:4].tolist()]
    [0.34, 1.0, 0.34]
    """
    return _window(np.blackman, x)


@operation("numpy")
def hamming(x: TensorLike) -> TensorLike:
    """Window of `x` points: ``0.54 - 0.46 cos(2 pi n / (x - 1))``.

    Example:

    >>> from densekit import ops
    >>> [round(x, 2) for x in ops.hamming(5).tolist()]
    [0.08, 0.54, 1.0, 0.54, 0.08]
    """
    return _window(np.hamming, x)


@operation("numpy")
def hanning(x: TensorLike) -> TensorLike:
    """Window of `x` points: ``0.5 - 0.5 cos(2 pi n / (x - 1))``.

    Example:

    >>> from densekit import ops
    >>> [round(x, 2) for x in ops.hanning(5).tolist()]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    return _window(np.hanning, x)


@operation("numpy")
def kaiser(x: TensorLike, beta: float) -> TensorLike:
    """Window of `x` points: ``i0(beta sqrt(1 - t**2)) / i0(beta)`` for t from -1 to 1.

    Example:

    >>> from densekit import ops
    >>> [round(x, 4) for x in ops.kaiser(5, beta=14.0).tolist()]
    [0.0, 0.1649, 1.0, 0.1649, 0.0]
    """
    return _window(np.kaiser, x, float(beta))


# Nodes of the trapezoidal rule on a circle; its error is ``I_256(x) / I_0(x) ~ exp(-256**2 / 2x)``,
# below the rounding of float64 up to 710, where `i0` overflows.
_COSINES = np.cos(2 * np.pi * np.arange(256) / 256)


@operation("numpy", quiet=True)
def i0(x: TensorLike) -> TensorLike:
    """Modified Bessel function of the first kind, order 0: the mean of ``exp(x cos t)``.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.i0(1.0)), 4)
    1.2661
    """
    xp, x = namespace(x), floating(x)
    if xp is np:
        return np.i0(x.astype(np.float64)).astype(x.dtype)
    if is_jax(xp):
        return xp.i0(x)
    wide = astype(x, "float64")
    return astype(xp.mean(xp.exp(wide[..., None] * _COSINES), axis=-1), dtype_name(x))
