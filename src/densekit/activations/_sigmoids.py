"""Bounded activations: sigmoids, tanh and their piecewise relatives."""

from __future__ import annotations

from densekit import ops
from densekit._core.native_form import has_native_form
from densekit._core.registry import export
from densekit._core.types import ArrayLike, TensorLike


@export("keras.activations")
@has_native_form("sigmoid")
def sigmoid(x: ArrayLike) -> TensorLike:
    """Logistic function: the probability of "yes" from its log-odds.

    Formula: ``f(x) = 1 / (1 + exp(-x))``.

    Args:
        x: array ``(...)``; the result has the same shape, values in [0, 1].

    Example:

    >>> import densekit as keras
    >>> keras.activations.sigmoid([0.0]).tolist()
    [0.5]
    """
    return ops.sigmoid(x)


@export("keras.activations")
@has_native_form("log_sigmoid")
def log_sigmoid(x: ArrayLike) -> TensorLike:
    """Logarithm of the sigmoid, without underflow.

    Formula: ``f(x) = -log(1 + exp(-x))``.

    Args:
        x: array ``(...)``; the result has the same shape, values <= 0.

    Example:

    >>> import densekit as keras
    >>> keras.activations.log_sigmoid([-1000.0, 1000.0]).tolist()
    [-1000.0, -0.0]
    """
    return ops.log_sigmoid(x)


@export("keras.activations")
@has_native_form("hard_sigmoid")
def hard_sigmoid(x: ArrayLike) -> TensorLike:
    """Piecewise linear sigmoid.

    Formula: ``f(x) = min(max(x + 3, 0), 6) / 6``.

    Args:
        x: array ``(...)``; the result has the same shape, values in [0, 1].

    Example:

    >>> import densekit as keras
    >>> keras.activations.hard_sigmoid([-3.0, 0.0, 3.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    return ops.hard_sigmoid(x)


@export("keras.activations")
@has_native_form("sparse_sigmoid")
def sparse_sigmoid(x: ArrayLike) -> TensorLike:
    """Piecewise linear sigmoid that reaches 0 and 1 at -1 and 1.

    Formula: ``f(x) = min(max((x + 1) / 2, 0), 1)``.

    Args:
        x: array ``(...)``; the result has the same shape, values in [0, 1].

    Example:

    >>> import densekit as keras
    >>> keras.activations.sparse_sigmoid([-2.0, 0.0, 2.0]).tolist()
    [0.0, 0.5, 1.0]

    Reference: Blondel, Martins and Niculae, arXiv:1901.02324.
    """
    return ops.sparse_sigmoid(x)


@export("keras.activations")
@has_native_form("tanh")
def tanh(x: ArrayLike) -> TensorLike:
    """Hyperbolic tangent.

    Formula: ``f(x) = (exp(x) - exp(-x)) / (exp(x) + exp(-x))``.

    Args:
        x: array ``(...)``; the result has the same shape, values in [-1, 1].

    Example:

    >>> import densekit as keras
    >>> keras.activations.tanh([0.0]).tolist()
    [0.0]
    """
    return ops.tanh(x)


@export("keras.activations")
@has_native_form("hard_tanh")
def hard_tanh(x: ArrayLike) -> TensorLike:
    """Piecewise linear tanh.

    Formula: ``f(x) = min(max(x, -1), 1)``.

    Args:
        x: array ``(...)``; the result has the same shape, values in [-1, 1].

    Example:

    >>> import densekit as keras
    >>> keras.activations.hard_tanh([-2.0, 0.5, 2.0]).tolist()
    [-1.0, 0.5, 1.0]
    """
    return ops.hard_tanh(x)


@export("keras.activations")
@has_native_form("softsign")
def softsign(x: ArrayLike) -> TensorLike:
    """Sigmoid shape with polynomial tails.

    Formula: ``f(x) = x / (1 + abs(x))``.

    Args:
        x: array ``(...)``; the result has the same shape, values in [-1, 1].

    Example:

    >>> import densekit as keras
    >>> keras.activations.softsign([1.0]).tolist()
    [0.5]

    Reference: Bergstra et al., "Quadratic polynomials learn better image features", 2009.
    """
    return ops.softsign(x)
