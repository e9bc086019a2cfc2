"""Activations that draw small inputs to zero."""

from __future__ import annotations

from densekit import ops
from densekit._core.native_form import has_native_form
from densekit._core.registry import export
from densekit._core.types import ArrayLike, TensorLike


@export("keras.activations")
@has_native_form("hard_shrink", 0.5)
def hard_shrink(x: ArrayLike, threshold: float = 0.5) -> TensorLike:
    """Zero for small inputs, the input itself elsewhere.

    Formula: ``f(x) = x if abs(x) > threshold else 0``.

    Args:
        x: array ``(...)``; the result has the same shape.
        threshold: half width of the dead zone, >= 0. Default: ``0.5``.

    Example:

    >>> import densekit as keras
    >>> keras.activations.hard_shrink([-1.0, 0.25, 2.0]).tolist()
    [-1.0, 0.0, 2.0]
    """
    return ops.hard_shrink(x, threshold=threshold)


@export("keras.activations")
@has_native_form("soft_shrink", 0.5)
def soft_shrink(x: ArrayLike, threshold: float = 0.5) -> TensorLike:
    """Moves every input towards zero by `threshold`.

    Formula: ``f(x) = sign(x) * max(abs(x) - threshold, 0)``.

    Args:
        x: array ``(...)``; the result has the same shape.
        threshold: half width of the dead zone, >= 0. Default: ``0.5``.

    Example:

    >>> import densekit as keras
    >>> keras.activations.soft_shrink([-1.0, 0.25, 2.0]).tolist()
    [-0.5, 0.0, 1.5]
    """
    return ops.soft_shrink(x, threshold=threshold)


@export("keras.activations")
@has_native_form("tanh_shrink")
def tanh_shrink(x: ArrayLike) -> TensorLike:
    """The input without its hyperbolic tangent.

    Formula: ``f(x) = x - tanh(x)``.

    Args:
        x: array ``(...)``; the result has the same shape.

    Example:

    >>> import densekit as keras
    >>> keras.activations.tanh_shrink([0.0]).tolist()
    [0.0]
    """
    return ops.tanh_shrink(x)
