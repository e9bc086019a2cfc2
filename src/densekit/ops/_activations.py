"""Activation formulas: the definitions that everything else is held against.

They never overflow, pass NaN on, and at a kink take the slope that Keras' formula has under JAX.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from densekit._core import settings
from densekit._core.errors import describe, message
from densekit._core.frames import warn
from densekit._core.types import Axes, Namespace, TensorLike
from densekit.ops._core_ops import stop_gradient
from densekit.ops._dispatch import astype, dtype_name, floating, namespace
from densekit.ops._operation import operation
from densekit.ops._special import erfc_values

SELU_ALPHA = 1.6732632423543772848170429916717  # Klambauer et al. 2017, equation (14)
SELU_SCALE = 1.0507009873554804934193349852946


def _minus_magnitude(xp: Namespace, x: TensorLike) -> TensorLike:
    """``-|x|`` with slope -1 at 0, so that smooth formulas built on it have their slope there."""
    return xp.where(x >= 0, -x, x)


def _rectified(xp: Namespace, x: TensorLike) -> TensorLike:
    """``max(x, 0)`` with slope 0 at 0."""
    return xp.where(x <= 0, 0, x)


def _logistic(xp: Namespace, x: TensorLike) -> TensorLike:
    small = xp.exp(_minus_magnitude(xp, x))
    return xp.where(x >= 0, 1, small) / (1.0 + small)


def _softplus(xp: Namespace, x: TensorLike) -> TensorLike:
    positive = xp.where(x >= 0, x, 0)
    return positive + xp.log1p(xp.exp(_minus_magnitude(xp, x)))


def _exponential_minus_one(xp: Namespace, x: TensorLike) -> TensorLike:
    """``expm1(min(x, 0))``: the branch not taken never overflows."""
    return xp.expm1(xp.where(x > 0, 0, x))


@operation("nn")
def relu(x: TensorLike) -> TensorLike:
    """``max(x, 0)``; slope 0 at 0."""
    return _rectified(namespace(x), x)


@operation("nn")
def relu6(x: TensorLike) -> TensorLike:
    """``min(max(x, 0), 6)``; slope 0 at 0 and 6."""
    xp = namespace(x)
    return xp.where(x >= 6, 6, _rectified(xp, x))


@operation("nn", keeps_dtype=True)
def leaky_relu(x: TensorLike, negative_slope: float = 0.2) -> TensorLike:
    """``x`` if ``x >= 0`` else ``negative_slope * x``."""
    xp, x = namespace(x), floating(x)
    return xp.where(x >= 0, x, negative_slope * x)


@operation("nn", keeps_dtype=True)
def elu(x: TensorLike, alpha: float = 1.0) -> TensorLike:
    """``x`` if ``x > 0`` else ``alpha * (exp(x) - 1)``."""
    xp, x = namespace(x), floating(x)
    return xp.where(x > 0, x, alpha * _exponential_minus_one(xp, x))


@operation("nn", keeps_dtype=True)
def celu(x: TensorLike, alpha: float = 1.0) -> TensorLike:
    """``x`` if ``x > 0`` else ``alpha * (exp(x / alpha) - 1)``."""
    xp, x = namespace(x), floating(x)
    return xp.where(x > 0, x, alpha * _exponential_minus_one(xp, x / alpha))


@operation("nn", keeps_dtype=True)
def selu(x: TensorLike) -> TensorLike:
    """``scale * elu(x, alpha)`` with the constants of self-normalising networks."""
    xp, x = namespace(x), floating(x)
    return SELU_SCALE * xp.where(x > 0, x, SELU_ALPHA * _exponential_minus_one(xp, x))


@operation("nn", quiet=True, keeps_dtype=True)
def gelu(x: TensorLike, approximate: bool = True) -> TensorLike:
    """``x * Phi(x)``, Phi the normal distribution function, or its tanh approximation."""
    xp, x = namespace(x), floating(x)
    if approximate:
        return 0.5 * x * (1.0 + xp.tanh(0.7978845608028654 * (x + 0.044715 * (x * x * x))))
    return 0.5 * x * erfc_values(x * -0.7071067811865476)  # 1 + erf would cancel for x < 0


@operation("nn", keeps_dtype=True)
def sigmoid(x: TensorLike) -> TensorLike:
    """``1 / (1 + exp(-x))``."""
    return _logistic(namespace(x), floating(x))


@operation("nn", alias="swish", quiet=True, keeps_dtype=True)
def silu(x: TensorLike) -> TensorLike:
    """``x * sigmoid(x)``."""
    x = floating(x)
    return x * _logistic(namespace(x), x)


swish = silu


@operation("nn")
def log_sigmoid(x: TensorLike) -> TensorLike:
    """``log(sigmoid(x)) == -softplus(-x)``."""
    return -_softplus(namespace(x), -floating(x))


@operation("nn")
def softplus(x: TensorLike) -> TensorLike:
    """``log(1 + exp(x))``."""
    return _softplus(namespace(x), floating(x))


@operation("nn", quiet=True, keeps_dtype=True)
def softsign(x: TensorLike) -> TensorLike:
    """``x / (1 + |x|)``."""
    x = floating(x)
    return x / (1.0 + namespace(x).abs(x))


@operation("nn", quiet=True)
def mish(x: TensorLike) -> TensorLike:
    """``x * tanh(softplus(x))``."""
    xp, x = namespace(x), floating(x)
    return x * xp.tanh(_softplus(xp, x))


def _hard_sigmoid(xp: Namespace, x: TensorLike) -> TensorLike:
    shifted = x + 3.0
    return xp.where(shifted >= 6, 6, _rectified(xp, shifted)) / 6.0


@operation("nn", keeps_dtype=True)
def hard_sigmoid(x: TensorLike) -> TensorLike:
    """``relu6(x + 3) / 6``."""
    return _hard_sigmoid(namespace(x), floating(x))


@operation("nn", alias="hard_swish", quiet=True, keeps_dtype=True)
def hard_silu(x: TensorLike) -> TensorLike:
    """``x * hard_sigmoid(x)``."""
    x = floating(x)
    return x * _hard_sigmoid(namespace(x), x)


hard_swish = hard_silu


@operation("nn")
def hard_tanh(x: TensorLike) -> TensorLike:
    """``min(max(x, -1), 1)``."""
    xp = namespace(x)
    low = xp.where(x < -1, -1, x)
    return xp.where(x > 1, 1, low)


@operation("nn")
def tanh_shrink(x: TensorLike) -> TensorLike:
    """``x - tanh(x)``."""
    x = floating(x)
    return x - namespace(x).tanh(x)


@operation("nn", keeps_dtype=True)
def soft_shrink(x: TensorLike, threshold: float = 0.5) -> TensorLike:
    """``x`` brought nearer to 0 by `threshold`, and 0 between -threshold and threshold."""
    xp, x = namespace(x), floating(x)
    inner = xp.where(x < -threshold, x + threshold, xp.where(xp.isnan(x), x, 0))
    return xp.where(x > threshold, x - threshold, inner)


@operation("nn")
def hard_shrink(x: TensorLike, threshold: float = 0.5) -> TensorLike:
    """``x`` if ``|x| > threshold`` else 0."""
    xp, x = namespace(x), floating(x)
    return xp.where(xp.abs(x) <= threshold, 0, x)


@operation("nn", arguments=("x",))
def threshold(x: TensorLike, threshold: float, default_value: float) -> TensorLike:
    """``x`` if ``x > threshold`` else `default_value`."""
    xp = namespace(x)
    return xp.where(x <= threshold, default_value, x)


@operation("nn", quiet=True, keeps_dtype=True)
def squareplus(x: TensorLike, b: float = 4) -> TensorLike:
    """``(x + sqrt(x**2 + b)) / 2``."""
    xp, x = namespace(x), floating(x)
    return (x + xp.sqrt(x * x + b)) / 2.0


@operation("nn", keeps_dtype=True)
def sparse_plus(x: TensorLike) -> TensorLike:
    """0 up to -1, ``(x + 1)**2 / 4`` between, ``x`` from 1 on."""
    xp, x = namespace(x), floating(x)
    inner = xp.where((x > -1) & (x < 1), x, 0)
    middle = 0.25 * (inner + 1.0) * (inner + 1.0)
    return xp.where(x >= 1, x, xp.where(x <= -1, 0, xp.where(x < 1, middle, x)))


@operation("nn", keeps_dtype=True)
def sparse_sigmoid(x: TensorLike) -> TensorLike:
    """0 up to -1, ``(x + 1) / 2`` between, 1 from 1 on."""
    xp, x = namespace(x), floating(x)
    return 0.5 * xp.minimum(xp.maximum(x + 1.0, 0.0), 2.0)  # shares the slope at its two corners


@operation("nn", keeps_dtype=True)
def glu(x: TensorLike, axis: int = -1) -> TensorLike:
    """``a * sigmoid(b)`` for the two halves of `axis`, whose size must be even."""
    xp, x = namespace(x), floating(x)
    if x.shape[axis] % 2:
        raise ValueError(
            message("glu", f"an even size of axis {axis}", describe(x), "Choose another axis.")
        )
    first, second = xp.split(x, 2, axis=axis)
    return first * _logistic(xp, second)


def _finite_maximum(xp: Namespace, x: TensorLike, axis: Axes) -> TensorLike:
    """What to subtract before `exp`: the maximum, 0 if infinite or NaN; constant to gradients."""
    top = xp.max(stop_gradient(x), axis=axis, keepdims=True)
    return xp.where(xp.isfinite(top), top, 0)


def _shifted(xp: Namespace, x: TensorLike, axis: Axes) -> TensorLike:
    return x - xp.max(stop_gradient(x), axis=axis, keepdims=True)


@operation("nn", quiet=True)
def softmax(x: TensorLike, axis: Axes = -1) -> TensorLike:
    """``exp(x) / sum(exp(x))`` along `axis`; None means over all elements."""
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
    powers = xp.exp(_shifted(xp, x, axis))
    return powers / xp.sum(powers, axis=axis, keepdims=True)


@operation("nn", quiet=True)
def log_softmax(x: TensorLike, axis: Axes = -1) -> TensorLike:
    """``x - logsumexp(x)`` along `axis`; None means over all elements."""
    xp, x = namespace(x), floating(x)
    moved = _shifted(xp, x, axis)
    return moved - xp.log(xp.sum(xp.exp(moved), axis=axis, keepdims=True))


@operation("math", quiet=True)
def logsumexp(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> TensorLike:
    """``log(sum(exp(x)))`` along `axis` without overflow."""
    xp, x = namespace(x), floating(x)
    top = _finite_maximum(xp, x, axis)
    total = xp.log(xp.sum(xp.exp(x - top), axis=axis, keepdims=True)) + top
    return total if keepdims else xp.squeeze(total, axis=axis)


@operation("nn", keeps_dtype=True, quiet=True)
def sparsemax(x: TensorLike, axis: int = -1) -> TensorLike:
    """The point of the probability simplex nearest to `x` (Martins and Astudillo 2016, alg. 1)."""
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
    return xp.moveaxis(_rectified(xp, z - tau), -1, axis)


@operation("nn")
def moments(
    x: TensorLike, axes: Axes, keepdims: bool = False, synchronized: bool = False
) -> tuple[TensorLike, TensorLike]:
    """``(mean, variance)`` over `axes`."""
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
    """``x / max(norm(x), epsilon)`` along `axis`; None for all axes."""
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
    size = xp.sum(xp.abs(x) ** order, axis=axes, keepdims=True) ** (1.0 / order)
    return x / xp.maximum(size, epsilon)
