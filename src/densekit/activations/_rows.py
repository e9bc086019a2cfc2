"""Activations that need a whole axis at once."""

from __future__ import annotations

from densekit import ops
from densekit._core.native_form import has_native_form
from densekit._core.registry import export
from densekit._core.types import ArrayLike, TensorLike


@export("keras.activations")
@has_native_form("softmax")
def softmax(x: ArrayLike, axis: int | tuple[int, ...] = -1) -> TensorLike:
    """Positive values that sum to 1: the probabilities of classes from their scores.

    Formula: ``f(x)_i = exp(x_i) / sum_j exp(x_j)``, computed on ``x - max(x)``.

    Args:
        x: array ``(..., classes)``; the result has the same shape.
        axis: the axis, or axes, of the classes. Default: ``-1``.

    Warns:
        UserWarning: if there is only one class, whose value is always 1.

    Example:

    >>> import densekit as keras
    >>> keras.activations.softmax([[1.0, 1.0]]).tolist()
    [[0.5, 0.5]]

    Reference: Bridle, "Training stochastic model recognition algorithms as networks can lead to
    maximum mutual information estimation of parameters", NIPS 1989.
    """
    return ops.softmax(x, axis=axis)


@export("keras.activations")
@has_native_form("log_softmax")
def log_softmax(x: ArrayLike, axis: int = -1) -> TensorLike:
    """Logarithm of softmax, without underflow.

    Formula: ``f(x)_i = x_i - log(sum_j exp(x_j))``.

    Args:
        x: array ``(..., classes)``; the result has the same shape.
        axis: the axis of the classes. Default: ``-1``.

    Example:

    >>> import densekit as keras
    >>> keras.activations.log_softmax([[0.0, 1000.0]]).tolist()
    [[-1000.0, 0.0]]
    """
    return ops.log_softmax(ops.convert_to_tensor(x), axis=axis)


@export("keras.activations")
@has_native_form("sparsemax")
def sparsemax(x: ArrayLike, axis: int = -1) -> TensorLike:
    """Projection onto the probability simplex: like softmax, with exact zeros.

    Formula: ``f(x)_i = max(x_i - tau(x), 0)`` with ``tau`` such that the values sum to 1.

    Args:
        x: array ``(..., classes)``; the result has the same shape.
        axis: the axis of the classes. Default: ``-1``.

    Example:

    >>> import densekit as keras
    >>> keras.activations.sparsemax([[2.0, 1.5, -1.0]]).tolist()
    [[0.75, 0.25, 0.0]]

    Reference: Martins and Astudillo, arXiv:1602.02068, algorithm 1.
    """
    return ops.sparsemax(ops.convert_to_tensor(x), axis=axis)


@export("keras.activations")
@has_native_form("glu")
def glu(x: ArrayLike, axis: int = -1) -> TensorLike:
    """Gated linear unit: one half of an axis gates the other.

    Formula: ``f([a, b]) = a * sigmoid(b)``.

    Args:
        x: array ``(..., 2 * n)``; the result is ``(..., n)``.
        axis: the axis to halve, of even size. Default: ``-1``.

    Example:

    >>> import densekit as keras
    >>> keras.activations.glu([[3.0, 0.0]]).tolist()
    [[1.5]]

    Reference: Dauphin et al., arXiv:1612.08083, equation 1.
    """
    return ops.glu(ops.convert_to_tensor(x), axis=axis)
