"""Exponentials and logarithms, element by element."""

from __future__ import annotations

from densekit._core.types import ArrayLike, TensorLike
from densekit.ops._dispatch import (
    floating,
    meet_floats,
    namespace,
)
from densekit.ops._operation import operation


@operation("numpy", quiet=True)
def exp(x: TensorLike) -> TensorLike:
    """The exponential: e to the power of `x`.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.exp(1.0)), 4)
    2.7183
    """
    return namespace(x).exp(floating(x))


@operation("numpy", quiet=True)
def exp2(x: TensorLike) -> TensorLike:
    """2 to the power of `x`.

    Example:

    >>> from densekit import ops
    >>> ops.exp2([3.0]).tolist()
    [8.0]
    """
    return namespace(x).exp2(floating(x))


@operation("numpy", quiet=True)
def expm1(x: TensorLike) -> TensorLike:
    """``exp(x) - 1``, exact near 0.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.expm1(1.0)), 4)
    1.7183
    """
    return namespace(x).expm1(floating(x))


@operation("numpy", quiet=True)
def log(x: TensorLike) -> TensorLike:
    """Natural logarithm.

    Example:

    >>> from densekit import ops
    >>> ops.log([1.0]).tolist()
    [0.0]
    """
    return namespace(x).log(floating(x))


@operation("numpy", quiet=True)
def log1p(x: TensorLike) -> TensorLike:
    """``log(1 + x)``, exact near 0.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.log1p(1.0)), 4)
    0.6931
    """
    return namespace(x).log1p(floating(x))


@operation("numpy", quiet=True)
def log2(x: TensorLike) -> TensorLike:
    """Logarithm to base 2.

    Example:

    >>> from densekit import ops
    >>> ops.log2([8.0]).tolist()
    [3.0]
    """
    return namespace(x).log2(floating(x))


@operation("numpy", quiet=True)
def log10(x: TensorLike) -> TensorLike:
    """Logarithm to base 10.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.log10(1000.0)), 4)
    3.0
    """
    return namespace(x).log10(floating(x))


@operation("numpy", tensors=2)
def logaddexp(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """``log(exp(x1) + exp(x2))`` without overflow.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.logaddexp(0.0, 0.0)), 4)
    0.6931
    """
    xp, x1, x2 = meet_floats(x1, x2, widens=True)
    return xp.logaddexp(x1, x2)
