"""Formulas along an axis: softmax and its kin, norms, moments. They never overflow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from densekit._core import settings
from densekit._core.errors import describe, message
from densekit._core.frames import warn
from densekit._core.types import Axes, Namespace, TensorLike
from densekit.ops._activations import logistic, rectified
from densekit.ops._core_ops import stop_gradient
from densekit.ops._dispatch import astype, dtype_name, floating, magnitude, namespace
from densekit.ops._operation import operation


@operation("nn", keeps_dtype=True)
def glu(x: TensorLike, axis: int = -1) -> TensorLike:
    """``a * sigmoid(b)`` for the two halves of `axis`, whose size must be even.

    Example:

    >>> from densekit import ops
    >>> ops.glu([3.0, 0.0]).tolist()
    [1.5]
    """
    xp, x = namespace(x), floating(x)
    if x.shape[axis] % 2:
        raise ValueError(
            message("glu", f"an even size of axis {axis}", describe(x), "Choose another axis.")
        )
    first, second = xp.split(x, 2, axis=axis)
    return first * logistic(xp, second)


def _finite_maximum(xp: Namespace, x: TensorLike, axis: Axes) -> TensorLike:
    """What to subtract before `exp`: the maximum, 0 if infinite or NaN; constant to gradients."""
    top = _maximum(xp, x, axis)
    return xp.where(xp.isfinite(top), top, 0)


def _maximum(xp: Namespace, x: TensorLike, axis: Axes) -> TensorLike:
    """Constant to gradients; of nothing the least."""
    least = {} if x.size else {"initial": -np.inf}
    return xp.max(stop_gradient(x), axis=axis, keepdims=True, **least)


def _shifted(xp: Namespace, x: TensorLike, axis: Axes) -> TensorLike:
    return x - _maximum(xp, x, axis)


@operation("nn", quiet=True)
def softmax(x: TensorLike, axis: Axes = -1) -> TensorLike:
    """``exp(x) / sum(exp(x))`` along `axis`; None means over all elements.

    Example:

    >>> from densekit import ops
    >>> ops.softmax([1.0, 1.0]).tolist()
    [0.5, 0.5]
    """
    xp, x = namespace(x), floating(x)
    if isinstance(axis, int) and -x.ndim <= axis < x.ndim and x.shape[axis] == 1:
        warn(
            message(
                "softmax",
                f"more than 1 class along axis {axis}",
                f"shape {tuple(x.shape)}, for which every value is 1",
                "Use a sigmoid for a single unit.",
            )
        )
    axis = tuple(axis) if isinstance(axis, list) else axis
    powers = xp.exp(_shifted(xp, x, axis))
    return powers / xp.sum(powers, axis=axis, keepdims=True)


@operation("nn", quiet=True)
def log_softmax(x: TensorLike, axis: Axes = -1) -> TensorLike:
    """``x - logsumexp(x)`` along `axis`; None means over all elements.

    Example:

    >>> from densekit import ops
    >>> [round(x, 4) for x in ops.log_softmax([1.0, 1.0]).tolist()]
    [-0.6931, -0.6931]
    """
    xp, x = namespace(x), floating(x)
    axis = tuple(axis) if isinstance(axis, list) else axis
    moved = _shifted(xp, x, axis)
    return moved - xp.log(xp.sum(xp.exp(moved), axis=axis, keepdims=True))


@operation("math", quiet=True)
def logsumexp(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> TensorLike:
    """``log(sum(exp(x)))`` along `axis` without overflow.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.logsumexp([0.0, 0.0])), 4)
    0.6931
    """
    xp, x = namespace(x), floating(x)
    top = _finite_maximum(xp, x, axis)
    total = xp.log(xp.sum(xp.exp(x - top), axis=axis, keepdims=True)) + top
    return total if keepdims else xp.squeeze(total, axis=axis)


@operation("nn", keeps_dtype=True, quiet=True)
def sparsemax(x: TensorLike, axis: int = -1) -> TensorLike:
    """The point of the probability simplex nearest to `x` (Martins and Astudillo 2016, alg. 1).

    Example:

    >>> from densekit import ops
    >>> ops.sparsemax([1.0, 1.0, -1.0]).tolist()
    [0.5, 0.5, 0.0]
    """
    xp, x = namespace(x), floating(x)
    z = xp.moveaxis(x, axis, -1)
    # Which elements stay above the threshold is found on bare values: it is constant nearby.
    still = stop_gradient(z)
    yp = namespace(still)
    descending = yp.flip(yp.sort(still, axis=-1), -1)
    ranks = yp.arange(1, z.shape[-1] + 1, dtype=z.dtype)
    support = 1.0 + ranks * descending > yp.cumsum(descending, axis=-1)
    count = yp.sum(support, axis=-1, keepdims=True)
    lowest = yp.take_along_axis(descending, yp.maximum(count - 1, 0), axis=-1)
    outside = still < lowest  # written so that a row with nan becomes nan
    count = yp.sum(~outside, axis=-1, keepdims=True).astype(z.dtype)
    inner = xp.where(outside, 0, z)
    tau = (xp.sum(inner, axis=-1, keepdims=True) - 1.0) / count
    return xp.moveaxis(rectified(xp, z - tau), -1, axis)


@operation("nn")
def moments(
    x: TensorLike, axes: Axes, keepdims: bool = False, synchronized: bool = False
) -> tuple[TensorLike, TensorLike]:
    """``(mean, variance)`` over `axes`.

    Example:

    >>> from densekit import ops
    >>> mean, variance = ops.moments([1.0, 5.0], axes=0)
    >>> float(mean), float(variance)
    (3.0, 4.0)
    """
    xp, x = namespace(x), floating(x)
    axes = tuple(axes) if isinstance(axes, list | tuple) else axes
    dtype = dtype_name(x)
    if dtype in ("float16", "bfloat16"):  # too narrow for squares
        found = moments(astype(x, "float32"), axes, keepdims)
        largest = np.inf if dtype == "bfloat16" else float(np.finfo("float16").max)
        mean, variance = (astype(xp.clip(part, -largest, largest), dtype) for part in found)
        return mean, variance
    mean = xp.mean(x, axis=axes, keepdims=True)
    variance = xp.mean(xp.square(x - mean), axis=axes, keepdims=keepdims)
    return (mean if keepdims else xp.squeeze(mean, axis=axes)), variance


@operation("nn", keeps_dtype=True, quiet=True)
def normalize(
    x: TensorLike,
    axis: int | Sequence[int] | None = -1,
    order: int = 2,
    epsilon: float | None = None,
) -> TensorLike:
    """``x / max(norm(x), epsilon)`` along `axis`; None for all axes.

    Example:

    >>> from densekit import ops
    >>> [round(x, 4) for x in ops.normalize([3.0, 4.0]).tolist()]
    [0.6, 0.8]
    """
    xp, x = namespace(x), floating(x)
    epsilon = settings.epsilon() if epsilon is None else epsilon
    if not isinstance(order, int) or order < 1:
        raise ValueError(
            message("normalize", "`order` to be an int >= 1", describe(order), "Pass e.g. order=2.")
        )
    axes = (axis,) if isinstance(axis, int) else range(x.ndim) if axis is None else axis
    axes = tuple(axes)
    if order == 2:
        squares = xp.sum(x * x, axis=axes, keepdims=True)
        return x / xp.sqrt(xp.maximum(squares, epsilon**2))
    size = xp.sum(magnitude(x) ** order, axis=axes, keepdims=True) ** (1.0 / order)
    return x / xp.maximum(size, epsilon)
