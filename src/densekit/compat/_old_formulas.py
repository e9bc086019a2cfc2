"""Formulas of `keras.backend` as Keras 2 had them: reductions, activations, products, switches."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence

from densekit import activations, ops
from densekit._core import settings
from densekit._core.name_scope import name_scope as name_scope
from densekit._core.types import ArrayLike, TensorLike


def _numbers(x: TensorLike) -> TensorLike:
    """Truths as numbers."""
    return ops.cast(x, settings.floatx()) if str(x.dtype) == "bool" else x


def mean(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> TensorLike:
    """The mean, of truths too."""
    return ops.mean(_numbers(x), axis, keepdims)


def std(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> TensorLike:
    """The standard deviation, of truths too."""
    return ops.std(_numbers(x), axis, keepdims)


def var(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> TensorLike:
    """The variance, of truths too."""
    return ops.var(_numbers(x), axis, keepdims)


def all(x: ArrayLike, axis: int | None = None, keepdims: bool = False) -> TensorLike:
    """Whether all elements are true."""
    return ops.all(ops.cast(x, "bool"), axis, keepdims)


def any(x: ArrayLike, axis: int | None = None, keepdims: bool = False) -> TensorLike:
    """Whether an element is true."""
    return ops.any(ops.cast(x, "bool"), axis, keepdims)


def argmax(x: ArrayLike, axis: int = -1) -> TensorLike:
    """Where the largest element is, by default along the last axis."""
    return ops.argmax(x, axis)


def argmin(x: ArrayLike, axis: int = -1) -> TensorLike:
    """Where the smallest element is, by default along the last axis."""
    return ops.argmin(x, axis)


def cumsum(x: ArrayLike, axis: int = 0) -> TensorLike:
    """Sums from the first element on."""
    return ops.cumsum(x, axis)


def cumprod(x: ArrayLike, axis: int = 0) -> TensorLike:
    """Products from the first element on."""
    return ops.cumprod(x, axis)


def sqrt(x: ArrayLike) -> TensorLike:
    """The square root, 0 of negative numbers."""
    return ops.sqrt(ops.maximum(x, 0))


def relu(
    x: ArrayLike, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> TensorLike:
    """`activations.relu`; `alpha` is the slope below `threshold`."""
    return activations.relu(x, alpha, max_value, threshold)


def elu(x: ArrayLike, alpha: float = 1.0) -> TensorLike:
    """`activations.elu`."""
    return activations.elu(x, alpha)


def hard_sigmoid(x: ArrayLike) -> TensorLike:
    """0.2 x + 0.5 between 0 and 1, as in Keras 2; that of Keras 3 is another."""
    return ops.clip(ops.add(ops.multiply(x, 0.2), 0.5), 0.0, 1.0)


def l2_normalize(x: ArrayLike, axis: int | None = None) -> TensorLike:
    """`x` over its length, which is at least 1e-6."""
    length = ops.sum(ops.square(x), axis, True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(length, 1e-12)))


def bias_add(x: ArrayLike, bias: ArrayLike, data_format: str | None = None) -> TensorLike:
    """``x + bias``."""
    return ops.add(x, bias)


def batch_normalization(
    x: ArrayLike,
    mean: ArrayLike,
    var: ArrayLike,
    beta: ArrayLike,
    gamma: ArrayLike,
    axis: int = -1,
    epsilon: float = 1e-3,
) -> TensorLike:
    """``(x - mean) / sqrt(var + epsilon) * gamma + beta``."""
    scale = ops.multiply(ops.rsqrt(ops.add(var, epsilon)), gamma)
    return ops.add(ops.multiply(ops.subtract(x, mean), scale), beta)


def batch_dot(x: TensorLike, y: TensorLike, axes: int | Sequence[int] | None = None) -> TensorLike:
    """Row by row the product of `x` and `y` over one axis of each; of two rows ``(n, 1)``."""
    ranks = len(x.shape), len(y.shape)
    if axes is None:
        axes = (ranks[0] - 1, ranks[1] - (1 if ranks[1] == 2 else 2))
    first, second = (axes, axes) if isinstance(axes, int) else axes
    left = list(string.ascii_lowercase[: ranks[0]])
    right = [left[0], *string.ascii_uppercase[1 : ranks[1]]]
    shared = left[first % ranks[0]]
    right[second % ranks[1]] = shared
    kept = [letter for letter in (*left, *right[1:]) if letter != shared]
    result = ops.einsum(f"{''.join(left)},{''.join(right)}->{''.join(kept)}", x, y)
    return ops.expand_dims(result, -1) if len(kept) == 1 else result


def switch(
    condition: TensorLike,
    then_expression: TensorLike | Callable[[], TensorLike],
    else_expression: TensorLike | Callable[[], TensorLike],
) -> TensorLike:
    """One of two tensors, or of what two functions give; for a condition with axes row by row."""
    one = then_expression() if callable(then_expression) else then_expression
    other = else_expression() if callable(else_expression) else else_expression
    condition = ops.cast(condition, "bool")
    missing = len(one.shape) - len(condition.shape)
    for _ in range(missing if len(condition.shape) else 0):
        condition = ops.expand_dims(condition, -1)
    return ops.where(condition, one, other)
