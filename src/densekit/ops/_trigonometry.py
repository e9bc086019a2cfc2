"""Trigonometric and hyperbolic functions and their inverses, element by element."""

from __future__ import annotations

from densekit._core.types import ArrayLike, TensorLike
from densekit.ops._dispatch import (
    floating,
    meet_floats,
    namespace,
)
from densekit.ops._operation import operation


@operation("numpy")
def sin(x: TensorLike) -> TensorLike:
    """Sine.

    Example:

    >>> from densekit import ops
    >>> ops.sin([0.0]).tolist()
    [0.0]
    """
    return namespace(x).sin(floating(x))


@operation("numpy")
def cos(x: TensorLike) -> TensorLike:
    """Cosine.

    Example:

    >>> from densekit import ops
    >>> ops.cos([0.0]).tolist()
    [1.0]
    """
    return namespace(x).cos(floating(x))


@operation("numpy")
def tan(x: TensorLike) -> TensorLike:
    """Tangent.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.tan(1.0)), 4)
    1.5574
    """
    return namespace(x).tan(floating(x))


@operation("numpy")
def tanh(x: TensorLike) -> TensorLike:
    """Hyperbolic tangent.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.tanh(1.0)), 4)
    0.7616
    """
    return namespace(x).tanh(floating(x))


@operation("numpy", quiet=True)
def sinh(x: TensorLike) -> TensorLike:
    """Hyperbolic sine.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.sinh(1.0)), 4)
    1.1752
    """
    return namespace(x).sinh(floating(x))


@operation("numpy", quiet=True)
def cosh(x: TensorLike) -> TensorLike:
    """Hyperbolic cosine.

    Example:

    >>> from densekit import ops
    >>> ops.cosh([0.0]).tolist()
    [1.0]
    """
    return namespace(x).cosh(floating(x))


@operation("numpy", quiet=True)
def arcsin(x: TensorLike) -> TensorLike:
    """Inverse sine.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.arcsin(1.0)), 4)
    1.5708
    """
    return namespace(x).arcsin(floating(x))


@operation("numpy", quiet=True)
def arccos(x: TensorLike) -> TensorLike:
    """Inverse cosine.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.arccos(0.0)), 4)
    1.5708
    """
    return namespace(x).arccos(floating(x))


@operation("numpy")
def arctan(x: TensorLike) -> TensorLike:
    """Inverse tangent.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.arctan(1.0)), 4)
    0.7854
    """
    return namespace(x).arctan(floating(x))


@operation("numpy", quiet=True)
def arctanh(x: TensorLike) -> TensorLike:
    """Inverse hyperbolic tangent.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.arctanh(0.5)), 4)
    0.5493
    """
    return namespace(x).arctanh(floating(x))


@operation("numpy", tensors=2)
def arctan2(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Angle of the point ``(x2, x1)``.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.arctan2(1.0, -1.0)), 4)
    2.3562
    """
    xp, x1, x2 = meet_floats(x1, x2, widens=True)
    return xp.arctan2(x1, x2)


@operation("numpy", quiet=True)
def arccosh(x: TensorLike) -> TensorLike:
    """Inverse hyperbolic cosine, NaN below 1.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.arccosh(2.0)), 4)
    1.317
    """
    return namespace(x).arccosh(floating(x))


@operation("numpy")
def arcsinh(x: TensorLike) -> TensorLike:
    """Inverse hyperbolic sine.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.arcsinh(1.0)), 4)
    0.8814
    """
    return namespace(x).arcsinh(floating(x))


@operation("numpy")
def deg2rad(x: TensorLike) -> TensorLike:
    """``x * pi / 180``.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.deg2rad(180.0)), 4)
    3.1416
    """
    return namespace(x).deg2rad(floating(x))


@operation("numpy")
def rad2deg(x: TensorLike) -> TensorLike:
    """``x * 180 / pi``.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.rad2deg(3.14159265)), 4)
    180.0
    """
    return namespace(x).rad2deg(floating(x))
