"""Activation formulas: the definitions that everything else is held against.

They never overflow, pass NaN on, and at a kink take the slope that Keras' formula has under JAX.
"""

from __future__ import annotations

from densekit._core.types import Namespace, TensorLike
from densekit.ops._dispatch import astype, floating, namespace
from densekit.ops._operation import operation
from densekit.ops._special import erfc_values

SELU_ALPHA = 1.6732632423543772848170429916717  # Klambauer et al. 2017, equation (14)
SELU_SCALE = 1.0507009873554804934193349852946


def _minus_magnitude(xp: Namespace, x: TensorLike) -> TensorLike:
    """``-|x|`` with slope -1 at 0, so that smooth formulas built on it have their slope there."""
    return xp.where(x >= 0, -x, x)


def rectified(xp: Namespace, x: TensorLike) -> TensorLike:
    """``max(x, 0)`` with slope 0 at 0."""
    return xp.where(x <= 0, 0, x)


def logistic(xp: Namespace, x: TensorLike) -> TensorLike:
    """``1 / (1 + exp(-x))`` without overflow."""
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
    """``max(x, 0)``; slope 0 at 0.

    Example:

    >>> from densekit import ops
    >>> ops.relu([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """
    return rectified(namespace(x), astype(x, "int32") if x.dtype.kind == "b" else x)


@operation("nn")
def relu6(x: TensorLike) -> TensorLike:
    """``min(max(x, 0), 6)``; slope 0 at 0 and 6.

    Example:

    >>> from densekit import ops
    >>> ops.relu6([-1.0, 2.0, 8.0]).tolist()
    [0.0, 2.0, 6.0]
    """
    xp, x = namespace(x), floating(x)
    return xp.where(x >= 6, 6, rectified(xp, x))


@operation("nn", keeps_dtype=True)
def leaky_relu(x: TensorLike, negative_slope: float = 0.2) -> TensorLike:
    """``x`` if ``x >= 0`` else ``negative_slope * x``.

    Example:

    >>> from densekit import ops
    >>> [round(x, 4) for x in ops.leaky_relu([-1.0, 2.0]).tolist()]
    [-0.2, 2.0]
    """
    xp, x = namespace(x), floating(x)
    return xp.where(x >= 0, x, negative_slope * x)


@operation("nn", keeps_dtype=True)
def elu(x: TensorLike, alpha: float = 1.0) -> TensorLike:
    """``x`` if ``x > 0`` else ``alpha * (exp(x) - 1)``.

    Example:

    >>> from densekit import ops
    >>> [round(x, 4) for x in ops.elu([-1.0, 2.0]).tolist()]
    [-0.6321, 2.0]
    """
    xp, x = namespace(x), floating(x)
    return xp.where(x > 0, x, alpha * _exponential_minus_one(xp, x))


@operation("nn", keeps_dtype=True)
def celu(x: TensorLike, alpha: float = 1.0) -> TensorLike:
    """``x`` if ``x > 0`` else ``alpha * (exp(x / alpha) - 1)``.

    Example:

    >>> from densekit import ops
    >>> [round(x, 4) for x in ops.celu([-1.0, 2.0]).tolist()]
    [-0.6321, 2.0]
    """
    xp, x = namespace(x), floating(x)
    return xp.where(x > 0, x, alpha * _exponential_minus_one(xp, x / alpha))


@operation("nn", keeps_dtype=True)
def selu(x: TensorLike) -> TensorLike:
    """``scale * elu(x, alpha)`` with the constants of self-normalising networks.

    Example:

    >>> from densekit import ops
    >>> [round(x, 4) for x in ops.selu([-1.0, 1.0]).tolist()]
    [-1.1113, 1.0507]
    """
    xp, x = namespace(x), floating(x)
    return SELU_SCALE * xp.where(x > 0, x, SELU_ALPHA * _exponential_minus_one(xp, x))


@operation("nn", quiet=True, keeps_dtype=True)
def gelu(x: TensorLike, approximate: bool = True) -> TensorLike:
    """``x * Phi(x)``, Phi the normal distribution function, or its tanh approximation.

    Example:

    >>> from densekit import ops
    >>> [round(x, 4) for x in ops.gelu([-1.0, 2.0]).tolist()]
    [-0.1588, 1.9546]
    """
    xp, x = namespace(x), floating(x)
    if approximate:
        return 0.5 * x * (1.0 + xp.tanh(0.7978845608028654 * (x + 0.044715 * (x * x * x))))
    return 0.5 * x * erfc_values(x * -0.7071067811865476)  # 1 + erf would cancel for x < 0


@operation("nn", keeps_dtype=True)
def sigmoid(x: TensorLike) -> TensorLike:
    """``1 / (1 + exp(-x))``.

    Example:

    >>> from densekit import ops
    >>> ops.sigmoid([0.0]).tolist()
    [0.5]
    """
    return logistic(namespace(x), floating(x))


@operation("nn", alias="swish", quiet=True, keeps_dtype=True)
def silu(x: TensorLike) -> TensorLike:
    """``x * sigmoid(x)``.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.silu(1.0)), 4)
    0.7311
    """
    x = floating(x)
    return x * logistic(namespace(x), x)


swish = silu


@operation("nn")
def log_sigmoid(x: TensorLike) -> TensorLike:
    """``log(sigmoid(x)) == -softplus(-x)``.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.log_sigmoid(0.0)), 4)
    -0.6931
    """
    return -_softplus(namespace(x), -floating(x))


@operation("nn")
def softplus(x: TensorLike) -> TensorLike:
    """``log(1 + exp(x))``.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.softplus(0.0)), 4)
    0.6931
    """
    return _softplus(namespace(x), floating(x))


@operation("nn", quiet=True, keeps_dtype=True)
def softsign(x: TensorLike) -> TensorLike:
    """``x / (1 + |x|)``.

    Example:

    >>> from densekit import ops
    >>> ops.softsign([-1.0, 3.0]).tolist()
    [-0.5, 0.75]
    """
    x = floating(x)
    return x / (1.0 + namespace(x).abs(x))


@operation("nn", quiet=True)
def mish(x: TensorLike) -> TensorLike:
    """``x * tanh(softplus(x))``.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.mish(1.0)), 4)
    0.8651
    """
    xp, x = namespace(x), floating(x)
    return x * xp.tanh(_softplus(xp, x))


def _hard_sigmoid(xp: Namespace, x: TensorLike) -> TensorLike:
    shifted = x + 3.0
    return xp.where(shifted >= 6, 6, rectified(xp, shifted)) / 6.0


@operation("nn", keeps_dtype=True)
def hard_sigmoid(x: TensorLike) -> TensorLike:
    """``relu6(x + 3) / 6``.

    Example:

    >>> from densekit import ops
    >>> ops.hard_sigmoid([-4.0, 0.0, 4.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    return _hard_sigmoid(namespace(x), floating(x))


@operation("nn", alias="hard_swish", quiet=True, keeps_dtype=True)
def hard_silu(x: TensorLike) -> TensorLike:
    """``x * hard_sigmoid(x)``.

    Example:

    >>> from densekit import ops
    >>> ops.hard_silu([-1.5, 0.0, 4.0]).tolist()
    [-0.375, 0.0, 4.0]
    """
    x = floating(x)
    return x * _hard_sigmoid(namespace(x), x)


hard_swish = hard_silu


@operation("nn")
def hard_tanh(x: TensorLike) -> TensorLike:
    """``min(max(x, -1), 1)``.

    Example:

    >>> from densekit import ops
    >>> ops.hard_tanh([-4.0, 0.5, 4.0]).tolist()
    [-1.0, 0.5, 1.0]
    """
    xp = namespace(x)
    low = xp.where(x < -1, -1, x)
    return xp.where(x > 1, 1, low)


@operation("nn")
def tanh_shrink(x: TensorLike) -> TensorLike:
    """``x - tanh(x)``.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.tanh_shrink(1.0)), 4)
    0.2384
    """
    x = floating(x)
    return x - namespace(x).tanh(x)


@operation("nn", keeps_dtype=True)
def soft_shrink(x: TensorLike, threshold: float = 0.5) -> TensorLike:
    """``x`` brought nearer to 0 by `threshold`, and 0 between -threshold and threshold.

    Example:

    >>> from densekit import ops
    >>> ops.soft_shrink([-1.0, 0.25, 2.0]).tolist()
    [-0.5, 0.0, 1.5]
    """
    xp, x = namespace(x), floating(x)
    inner = xp.where(x < -threshold, x + threshold, xp.where(xp.isnan(x), x, 0))
    return xp.where(x > threshold, x - threshold, inner)


@operation("nn")
def hard_shrink(x: TensorLike, threshold: float = 0.5) -> TensorLike:
    """``x`` if ``|x| > threshold`` else 0.

    Example:

    >>> from densekit import ops
    >>> ops.hard_shrink([-1.0, 0.25, 2.0]).tolist()
    [-1.0, 0.0, 2.0]
    """
    xp, x = namespace(x), floating(x)
    return xp.where(xp.abs(x) <= threshold, 0, x)


@operation("nn", arguments=("x",))
def threshold(x: TensorLike, threshold: float, default_value: float) -> TensorLike:
    """``x`` if ``x > threshold`` else `default_value`.

    Example:

    >>> from densekit import ops
    >>> ops.threshold([0.5, 2.0], 1.0, -1.0).tolist()
    [-1.0, 2.0]
    """
    xp = namespace(x)
    return xp.where(x <= threshold, default_value, x)


@operation("nn", quiet=True, keeps_dtype=True)
def squareplus(x: TensorLike, b: float = 4) -> TensorLike:
    """``(x + sqrt(x**2 + b)) / 2``.

    Example:

    >>> from densekit import ops
    >>> ops.squareplus([0.0]).tolist()
    [1.0]
    """
    xp, x = namespace(x), floating(x)
    return (x + xp.sqrt(x * x + b)) / 2.0


@operation("nn", keeps_dtype=True)
def sparse_plus(x: TensorLike) -> TensorLike:
    """0 up to -1, ``(x + 1)**2 / 4`` between, ``x`` from 1 on.

    Example:

    >>> from densekit import ops
    >>> ops.sparse_plus([-2.0, 0.0, 2.0]).tolist()
    [0.0, 0.25, 2.0]
    """
    xp, x = namespace(x), floating(x)
    inner = xp.where((x > -1) & (x < 1), x, 0)
    middle = 0.25 * (inner + 1.0) * (inner + 1.0)
    return xp.where(x >= 1, x, xp.where(x <= -1, 0, xp.where(x < 1, middle, x)))


@operation("nn", keeps_dtype=True)
def sparse_sigmoid(x: TensorLike) -> TensorLike:
    """0 up to -1, ``(x + 1) / 2`` between, 1 from 1 on.

    Example:

    >>> from densekit import ops
    >>> ops.sparse_sigmoid([-2.0, 0.0, 2.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    xp, x = namespace(x), floating(x)
    return 0.5 * xp.minimum(xp.maximum(x + 1.0, 0.0), 2.0)  # shares the slope at its two corners
