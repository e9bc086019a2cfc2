"""Activation formulas: the definitions that everything else is held against.

They never overflow, pass NaN on, and at a kink take the slope that Keras' formula has under JAX.
"""

from __future__ import annotations

from typing import Any

from densekit._core import settings
from densekit._core.errors import describe, message
from densekit.ops._core_ops import stop_gradient
from densekit.ops._dispatch import floating, namespace
from densekit.ops._operation import operation
from densekit.ops._special import erfc_values

SELU_ALPHA = 1.6732632423543772848170429916717  # Klambauer et al. 2017, equation (14)
SELU_SCALE = 1.0507009873554804934193349852946


def _minus_magnitude(xp: Any, x: Any) -> Any:
    """``-|x|`` with slope -1 at 0, so that smooth formulas built on it have their slope there."""
    return xp.where(x >= 0, -x, x)


def _rectified(xp: Any, x: Any) -> Any:
    """``max(x, 0)`` with slope 0 at 0."""
    return xp.where(x <= 0, 0, x)


def _logistic(xp: Any, x: Any) -> Any:
    small = xp.exp(_minus_magnitude(xp, x))
    return xp.where(x >= 0, 1, small) / (1.0 + small)


def _softplus(xp: Any, x: Any) -> Any:
    positive = xp.where(x >= 0, x, 0)
    return positive + xp.log1p(xp.exp(_minus_magnitude(xp, x)))


def _exponential_minus_one(xp: Any, x: Any) -> Any:
    """``expm1(min(x, 0))``: the branch not taken never overflows."""
    return xp.expm1(xp.where(x > 0, 0, x))


@operation("nn")
def relu(x: Any) -> Any:
    """``max(x, 0)``; slope 0 at 0."""
    return _rectified(namespace(x), x)


@operation("nn")
def relu6(x: Any) -> Any:
    """``min(max(x, 0), 6)``; slope 0 at 0 and 6."""
    xp = namespace(x)
    return xp.where(x >= 6, 6, _rectified(xp, x))


@operation("nn")
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """``x`` if ``x >= 0`` else ``negative_slope * x``."""
    xp, x = namespace(x), floating(x)
    return xp.where(x >= 0, x, negative_slope * x)


@operation("nn")
def elu(x: Any, alpha: float = 1.0) -> Any:
    """``x`` if ``x > 0`` else ``alpha * (exp(x) - 1)``."""
    xp, x = namespace(x), floating(x)
    return xp.where(x > 0, x, alpha * _exponential_minus_one(xp, x))


@operation("nn")
def celu(x: Any, alpha: float = 1.0) -> Any:
    """``x`` if ``x > 0`` else ``alpha * (exp(x / alpha) - 1)``."""
    xp, x = namespace(x), floating(x)
    return xp.where(x > 0, x, alpha * _exponential_minus_one(xp, x / alpha))


@operation("nn")
def selu(x: Any) -> Any:
    """``scale * elu(x, alpha)`` with the constants of self-normalising networks."""
    xp, x = namespace(x), floating(x)
    return SELU_SCALE * xp.where(x > 0, x, SELU_ALPHA * _exponential_minus_one(xp, x))


@operation("nn", quiet=True)
def gelu(x: Any, approximate: bool = True) -> Any:
    """``x * Phi(x)``, Phi the normal distribution function, or its tanh approximation."""
    xp, x = namespace(x), floating(x)
    if approximate:
        return 0.5 * x * (1.0 + xp.tanh(0.7978845608028654 * (x + 0.044715 * (x * x * x))))
    return 0.5 * x * erfc_values(x * -0.7071067811865476)  # 1 + erf would cancel for x < 0


@operation("nn")
def sigmoid(x: Any) -> Any:
    """``1 / (1 + exp(-x))``."""
    return _logistic(namespace(x), floating(x))


@operation("nn", alias="swish", quiet=True)
def silu(x: Any) -> Any:
    """``x * sigmoid(x)``."""
    x = floating(x)
    return x * _logistic(namespace(x), x)


swish = silu


@operation("nn")
def log_sigmoid(x: Any) -> Any:
    """``log(sigmoid(x)) == -softplus(-x)``."""
    return -_softplus(namespace(x), -floating(x))


@operation("nn")
def softplus(x: Any) -> Any:
    """``log(1 + exp(x))``."""
    return _softplus(namespace(x), floating(x))


@operation("nn", quiet=True)
def softsign(x: Any) -> Any:
    """``x / (1 + |x|)``."""
    x = floating(x)
    return x / (1.0 + namespace(x).abs(x))


@operation("nn", quiet=True)
def mish(x: Any) -> Any:
    """``x * tanh(softplus(x))``."""
    xp, x = namespace(x), floating(x)
    return x * xp.tanh(_softplus(xp, x))


def _hard_sigmoid(xp: Any, x: Any) -> Any:
    shifted = x + 3.0
    return xp.where(shifted >= 6, 6, _rectified(xp, shifted)) / 6.0


@operation("nn")
def hard_sigmoid(x: Any) -> Any:
    """``relu6(x + 3) / 6``."""
    return _hard_sigmoid(namespace(x), floating(x))


@operation("nn", alias="hard_swish", quiet=True)
def hard_silu(x: Any) -> Any:
    """``x * hard_sigmoid(x)``."""
    x = floating(x)
    return x * _hard_sigmoid(namespace(x), x)


hard_swish = hard_silu


@operation("nn")
def hard_tanh(x: Any) -> Any:
    """``min(max(x, -1), 1)``."""
    xp = namespace(x)
    low = xp.where(x < -1, -1, x)
    return xp.where(x > 1, 1, low)


@operation("nn")
def tanh_shrink(x: Any) -> Any:
    """``x - tanh(x)``."""
    x = floating(x)
    return x - namespace(x).tanh(x)


@operation("nn")
def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    """``x`` brought nearer to 0 by `threshold`, and 0 between -threshold and threshold."""
    xp, x = namespace(x), floating(x)
    inner = xp.where(x < -threshold, x + threshold, xp.where(xp.isnan(x), x, 0))
    return xp.where(x > threshold, x - threshold, inner)


@operation("nn")
def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    """``x`` if ``|x| > threshold`` else 0."""
    xp, x = namespace(x), floating(x)
    return xp.where(xp.abs(x) <= threshold, 0, x)


@operation("nn", arguments=("x",))
def threshold(x: Any, threshold: float, default_value: float) -> Any:
    """``x`` if ``x > threshold`` else `default_value`."""
    xp = namespace(x)
    return xp.where(x <= threshold, default_value, x)


@operation("nn", quiet=True)
def squareplus(x: Any, b: float = 4) -> Any:
    """``(x + sqrt(x**2 + b)) / 2``."""
    xp, x = namespace(x), floating(x)
    return (x + xp.sqrt(x * x + b)) / 2.0


@operation("nn")
def sparse_plus(x: Any) -> Any:
    """0 up to -1, ``(x + 1)**2 / 4`` between, ``x`` from 1 on."""
    xp, x = namespace(x), floating(x)
    inner = xp.where((x > -1) & (x < 1), x, 0)
    middle = 0.25 * (inner + 1.0) * (inner + 1.0)
    return xp.where(x >= 1, x, xp.where(x <= -1, 0, xp.where(x < 1, middle, x)))


@operation("nn")
def sparse_sigmoid(x: Any) -> Any:
    """0 up to -1, ``(x + 1) / 2`` between, 1 from 1 on."""
    xp, x = namespace(x), floating(x)
    return 0.5 * xp.minimum(xp.maximum(x + 1.0, 0.0), 2.0)  # shares the slope at its two corners


@operation("nn")
def glu(x: Any, axis: int = -1) -> Any:
    """``a * sigmoid(b)`` for the two halves of `axis`, whose size must be even."""
    xp, x = namespace(x), floating(x)
    if x.shape[axis] % 2:
        raise ValueError(
            message("glu", f"an even size of axis {axis}", describe(x), "Choose another axis.")
        )
    first, second = xp.split(x, 2, axis=axis)
    return first * _logistic(xp, second)


def _finite_maximum(xp: Any, x: Any, axis: Any) -> Any:
    """What to subtract before `exp`: the maximum, 0 if infinite or NaN; constant to gradients."""
    top = xp.max(stop_gradient(x), axis=axis, keepdims=True)
    return xp.where(xp.isfinite(top), top, 0)


def _shifted(xp: Any, x: Any, axis: Any) -> Any:
    return x - xp.max(stop_gradient(x), axis=axis, keepdims=True)


@operation("nn", quiet=True)
def softmax(x: Any, axis: Any = -1) -> Any:
    """``exp(x) / sum(exp(x))`` along `axis`; None means over all elements."""
    xp, x = namespace(x), floating(x)
    powers = xp.exp(_shifted(xp, x, axis))
    return powers / xp.sum(powers, axis=axis, keepdims=True)


@operation("nn", quiet=True)
def log_softmax(x: Any, axis: Any = -1) -> Any:
    """``x - logsumexp(x)`` along `axis`; None means over all elements."""
    xp, x = namespace(x), floating(x)
    moved = _shifted(xp, x, axis)
    return moved - xp.log(xp.sum(xp.exp(moved), axis=axis, keepdims=True))


@operation("math", quiet=True)
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """``log(sum(exp(x)))`` along `axis` without overflow."""
    xp, x = namespace(x), floating(x)
    top = _finite_maximum(xp, x, axis)
    total = xp.log(xp.sum(xp.exp(x - top), axis=axis, keepdims=True)) + top
    return total if keepdims else xp.squeeze(total, axis=axis)


@operation("nn", quiet=True)
def sparsemax(x: Any, axis: int = -1) -> Any:
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
def moments(x: Any, axes: Any, keepdims: bool = False, synchronized: bool = False) -> Any:
    """``(mean, variance)`` over `axes`."""
    xp, x = namespace(x), floating(x)
    axes = tuple(axes) if isinstance(axes, list | tuple) else axes
    mean = xp.mean(x, axis=axes, keepdims=True)
    variance = xp.mean(xp.square(x - mean), axis=axes, keepdims=keepdims)
    return (mean if keepdims else xp.squeeze(mean, axis=axes)), variance


@operation("nn", quiet=True)
def normalize(x: Any, axis: Any = -1, order: int = 2, epsilon: float | None = None) -> Any:
    """``x / max(norm(x), epsilon)`` along `axis`."""
    xp, x = namespace(x), floating(x)
    epsilon = settings.epsilon() if epsilon is None else epsilon
    if not isinstance(order, int) or order < 1:
        raise ValueError(
            message("normalize", "`order` to be an int >= 1", describe(order), "Pass e.g. order=2.")
        )
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    if order == 2:
        squares = xp.sum(x * x, axis=axes, keepdims=True)
        return x / xp.sqrt(xp.maximum(squares, epsilon**2))
    size = xp.sum(xp.abs(x) ** order, axis=axes, keepdims=True) ** (1.0 / order)
    return x / xp.maximum(size, epsilon)
