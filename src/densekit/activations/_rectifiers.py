"""Activations that pass positive inputs through: relu and its kin."""

from __future__ import annotations

import math

import numpy as np

from densekit import ops
from densekit._core.native_form import has_native_form
from densekit._core.registry import export
from densekit._core.types import ArrayLike, TensorLike


@export("keras.activations")
@has_native_form("linear")
def linear(x: ArrayLike) -> TensorLike:
    """The input itself.

    Formula: ``f(x) = x``.

    Args:
        x: array ``(...)``; the result has the same shape.

    Example:

    >>> import densekit as keras
    >>> keras.activations.linear(3.0)
    3.0
    """
    # An array is the caller's own; what is none stays what it is.
    return ops.convert_to_tensor(x) if type(x) is np.ndarray else x  # type: ignore[return-value]


@export("keras.activations")
@has_native_form("relu", 0.0, math.inf, 0.0)
def relu(
    x: ArrayLike,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> TensorLike:
    """Rectified linear unit.

    Formula: ``f(x) = min(x, max_value) if x > threshold else negative_slope * (x - threshold)``.
    The slope at 0 of the plain form is 0.

    Args:
        x: array ``(...)``; the result has the same shape.
        negative_slope: slope below the threshold. Default: ``0.0``.
        max_value: largest value of the function, or None for no limit. Default: ``None``.
        threshold: where the function starts. Default: ``0.0``.

    Example:

    >>> import densekit as keras
    >>> keras.activations.relu([-1.0, 2.0, 9.0], max_value=6.0).tolist()
    [0.0, 2.0, 6.0]

    Reference: Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines",
    ICML 2010.
    """
    if negative_slope != 0 and max_value is None and threshold == 0:
        return ops.leaky_relu(x, negative_slope=negative_slope)
    x = ops.convert_to_tensor(x)
    if threshold != 0:
        y: TensorLike = ops.where(
            x <= threshold, ops.zeros_like(x), x
        )  # this way round nan stays nan
    elif max_value == 6:
        y = ops.relu6(x)  # not clip: the slope at 6 is 0, as Keras has it
    else:
        y = ops.relu(x)
    if max_value is not None and not (threshold == 0 and max_value == 6):
        y = ops.clip(y, 0, max_value)
    if negative_slope != 0:
        y = ops.subtract(y, ops.multiply(ops.relu(ops.subtract(threshold, x)), negative_slope))
    return y


@export("keras.activations")
@has_native_form("relu", 0.0, 6.0, 0.0)
def relu6(x: ArrayLike) -> TensorLike:
    """Rectified linear unit that saturates at 6.

    Formula: ``f(x) = min(max(x, 0), 6)``.

    Args:
        x: array ``(...)``; the result has the same shape.

    Example:

    >>> import densekit as keras
    >>> keras.activations.relu6([-1.0, 2.0, 9.0]).tolist()
    [0.0, 2.0, 6.0]

    Reference: Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010.
    """
    return ops.relu6(x)


@export("keras.activations")
@has_native_form("relu", 0.2, math.inf, 0.0)
def leaky_relu(x: ArrayLike, negative_slope: float = 0.2) -> TensorLike:
    """Rectified linear unit with a slope below zero.

    Formula: ``f(x) = x if x >= 0 else negative_slope * x``.

    Args:
        x: array ``(...)``; the result has the same shape.
        negative_slope: slope below zero. Default: ``0.2`` (the layer `LeakyReLU` has 0.3).

    Example:

    >>> import densekit as keras
    >>> keras.activations.leaky_relu([-1.0, 2.0], negative_slope=0.5).tolist()
    [-0.5, 2.0]

    Reference: Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic
    models", ICML 2013.
    """
    return ops.leaky_relu(x, negative_slope=negative_slope)


@export("keras.activations")
@has_native_form("elu", 1.0)
def elu(x: ArrayLike, alpha: float = 1.0) -> TensorLike:
    """Exponential linear unit.

    Formula: ``f(x) = x if x > 0 else alpha * (exp(x) - 1)``.

    Args:
        x: array ``(...)``; the result has the same shape.
        alpha: the function tends to ``-alpha``. Default: ``1.0``.

    Example:

    >>> import densekit as keras
    >>> keras.activations.elu([-100.0, 2.0]).tolist()
    [-1.0, 2.0]

    Reference: Clevert, Unterthiner and Hochreiter, arXiv:1511.07289, equation 15.
    """
    return ops.elu(x, alpha=alpha)


@export("keras.activations")
@has_native_form("celu", 1.0)
def celu(x: ArrayLike, alpha: float = 1.0) -> TensorLike:
    """Exponential linear unit whose slope is continuous for every `alpha`.

    Formula: ``f(x) = max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))``.

    Args:
        x: array ``(...)``; the result has the same shape.
        alpha: the function tends to ``-alpha``; not 0. Default: ``1.0``.

    Example:

    >>> import densekit as keras
    >>> keras.activations.celu([-1000.0, 2.0], alpha=2.0).tolist()
    [-2.0, 2.0]

    Reference: Barron, arXiv:1704.07483, equation 2.
    """
    return ops.celu(x, alpha=alpha)


@export("keras.activations")
@has_native_form("selu")
def selu(x: ArrayLike) -> TensorLike:
    """Scaled exponential linear unit: keeps mean 0 and variance 1 from layer to layer.

    Formula: ``f(x) = 1.0507009873554805 * elu(x, alpha=1.6732632423543772)``. Use it with
    `LecunNormal` kernels.

    Args:
        x: array ``(...)``; the result has the same shape.

    Example:

    >>> import densekit as keras
    >>> keras.activations.selu([0.0]).tolist()
    [0.0]

    Reference: Klambauer et al., "Self-normalizing neural networks", arXiv:1706.02515, equation 2.
    """
    return ops.selu(x)


@export("keras.activations")
def threshold(x: ArrayLike, threshold: float, default_value: float) -> TensorLike:
    """The input above a threshold, a constant elsewhere.

    Formula: ``f(x) = x if x > threshold else default_value``.

    Args:
        x: array ``(...)``; the result has the same shape.
        threshold: where the input starts to pass.
        default_value: the value elsewhere.

    Example:

    >>> import densekit as keras
    >>> keras.activations.threshold([0.5, 2.0], threshold=1.0, default_value=-1.0).tolist()
    [-1.0, 2.0]
    """
    return ops.threshold(x, threshold, default_value)
