"""Smooth activations without bounds on the positive side."""

from __future__ import annotations

from densekit import ops
from densekit._core.native_form import has_native_form
from densekit._core.registry import export
from densekit._core.types import ArrayLike, TensorLike


@export("keras.activations")
@has_native_form("gelu", 0.0)
def gelu(x: ArrayLike, approximate: bool = False) -> TensorLike:
    """Gaussian error linear unit.

    Formula: ``f(x) = x * P(X <= x)`` with ``X ~ N(0, 1)``, that is
    ``x / 2 * (1 + erf(x / sqrt(2)))``; approximately
    ``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))``.

    Args:
        x: array ``(...)``; the result has the same shape.
        approximate: whether to use the tanh form. Default: ``False``.

    Example:

    >>> import densekit as keras
    >>> keras.activations.gelu([0.0, 100.0]).tolist()
    [0.0, 100.0]

    Reference: Hendrycks and Gimpel, arXiv:1606.08415, section 2.
    """
    return ops.gelu(x, approximate=approximate)


@export("keras.activations", "swish")
@has_native_form("silu")
def silu(x: ArrayLike) -> TensorLike:
    """Sigmoid-weighted linear unit, also called swish.

    Formula: ``f(x) = x * sigmoid(x)``.

    Args:
        x: array ``(...)``; the result has the same shape.

    Example:

    >>> import densekit as keras
    >>> keras.activations.silu([0.0, 100.0]).tolist()
    [0.0, 100.0]

    Reference: Ramachandran, Zoph and Le, arXiv:1710.05941, section 4.
    """
    return ops.silu(x)


@export("keras.activations", "hard_swish")
@has_native_form("hard_silu")
def hard_silu(x: ArrayLike) -> TensorLike:
    """Piecewise quadratic approximation of `silu`, also called hard swish.

    Formula: ``f(x) = x * hard_sigmoid(x)``.

    Args:
        x: array ``(...)``; the result has the same shape.

    Example:

    >>> import densekit as keras
    >>> keras.activations.hard_silu([0.0, 3.0]).tolist()
    [0.0, 3.0]

    Reference: Howard et al., "Searching for MobileNetV3", arXiv:1905.02244, section 5.2.
    """
    return ops.hard_silu(ops.convert_to_tensor(x))


@export("keras.activations")
@has_native_form("mish")
def mish(x: ArrayLike) -> TensorLike:
    """Smooth, not monotone, unbounded above.

    Formula: ``f(x) = x * tanh(log(1 + exp(x)))``.

    Args:
        x: array ``(...)``; the result has the same shape.

    Example:

    >>> import densekit as keras
    >>> keras.activations.mish([0.0, 100.0]).tolist()
    [0.0, 100.0]

    Reference: Misra, arXiv:1908.08681, equation 1.
    """
    x = ops.convert_to_tensor(x)
    return x * ops.tanh(ops.softplus(x))


@export("keras.activations")
@has_native_form("softplus")
def softplus(x: ArrayLike) -> TensorLike:
    """Smooth relu.

    Formula: ``f(x) = log(1 + exp(x))``, without overflow.

    Args:
        x: array ``(...)``; the result has the same shape.

    Example:

    >>> import densekit as keras
    >>> keras.activations.softplus([-1000.0, 1000.0]).tolist()
    [0.0, 1000.0]

    Reference: Dugas et al., "Incorporating second-order functional knowledge for better option
    pricing", NIPS 2000.
    """
    return ops.softplus(x)


@export("keras.activations")
@has_native_form("squareplus", 4.0)
def squareplus(x: ArrayLike, b: float = 4) -> TensorLike:
    """Algebraic relative of softplus.

    Formula: ``f(x) = (x + sqrt(x**2 + b)) / 2``.

    Args:
        x: array ``(...)``; the result has the same shape.
        b: width of the bend around 0, >= 0. Default: ``4``.

    Example:

    >>> import densekit as keras
    >>> keras.activations.squareplus([0.0, 1.5]).tolist()
    [1.0, 2.0]

    Reference: Barron, arXiv:2112.11687, equation 1.
    """
    return ops.squareplus(x, b=b)


@export("keras.activations")
@has_native_form("exponential")
def exponential(x: ArrayLike) -> TensorLike:
    """Exponential function: positive outputs such as rates.

    Formula: ``f(x) = exp(x)``.

    Args:
        x: array ``(...)``; the result has the same shape.

    Example:

    >>> import densekit as keras
    >>> keras.activations.exponential([0.0]).tolist()
    [1.0]
    """
    return ops.exp(x)


@export("keras.activations")
@has_native_form("sparse_plus")
def sparse_plus(x: ArrayLike) -> TensorLike:
    """Quadratic bend between 0 and the identity; the integral of `sparse_sigmoid`.

    Formula: ``f(x) = 0`` for ``x <= -1``, ``(x + 1)**2 / 4`` between, ``x`` for ``x >= 1``.

    Args:
        x: array ``(...)``; the result has the same shape.

    Example:

    >>> import densekit as keras
    >>> keras.activations.sparse_plus([-2.0, 0.0, 2.0]).tolist()
    [0.0, 0.25, 2.0]

    Reference: Blondel, Martins and Niculae, arXiv:1901.02324.
    """
    return ops.sparse_plus(x)
