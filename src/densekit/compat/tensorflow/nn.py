"""`tf.nn`: activations and the losses of logits."""

from __future__ import annotations

from collections.abc import Sequence

from densekit import ops, random
from densekit._core.seeds import Seed
from densekit._core.types import ArrayLike, TensorLike
from densekit.compat.tensorflow._names import lookup
from densekit.compat.tensorflow.math import l2_normalize as l2_normalize

_ACTIVATIONS = "relu relu6 elu selu gelu silu sigmoid tanh softplus softsign"
__getattr__ = lookup(
    "tf.nn",
    {name: (name, {"features": "x"}) for name in _ACTIVATIONS.split()}
    | {name: (name, {"logits": "x"}) for name in ("softmax", "log_softmax")}
    | {
        "leaky_relu": ("leaky_relu", {"features": "x", "alpha": "negative_slope"}),
        "swish": ("silu", {"features": "x"}),
        "top_k": ("top_k", {"input": "x"}),
    },
)


def sparse_softmax_cross_entropy_with_logits(
    labels: ArrayLike, logits: ArrayLike, name: str | None = None
) -> TensorLike:
    """One loss for each row of logits, whose class is an integer."""
    return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def softmax_cross_entropy_with_logits(
    labels: ArrayLike, logits: ArrayLike, axis: int = -1, name: str | None = None
) -> TensorLike:
    """One loss for each row of logits, whose target is a distribution."""
    return ops.categorical_crossentropy(labels, logits, from_logits=True, axis=axis)


def sigmoid_cross_entropy_with_logits(
    labels: ArrayLike, logits: ArrayLike, name: str | None = None
) -> TensorLike:
    """One loss for each logit: ``max(z, 0) - z*y + log(1 + exp(-|z|))``."""
    return ops.binary_crossentropy(labels, logits, from_logits=True)


def weighted_cross_entropy_with_logits(
    labels: ArrayLike, logits: ArrayLike, pos_weight: ArrayLike, name: str | None = None
) -> TensorLike:
    """The loss of logits, of positive labels `pos_weight` times."""
    weight = ops.add(1.0, ops.multiply(ops.subtract(pos_weight, 1.0), labels))
    kept = ops.multiply(ops.subtract(1.0, labels), logits)
    return ops.add(kept, ops.multiply(weight, ops.softplus(ops.negative(logits))))


def moments(
    x: ArrayLike,
    axes: int | Sequence[int],
    shift: object = None,
    keepdims: bool = False,
    name: str | None = None,
) -> tuple[TensorLike, TensorLike]:
    """Mean and variance over some axes."""
    mean, variance = ops.moments(x, axes if isinstance(axes, int) else tuple(axes), keepdims)
    return mean, variance


def batch_normalization(
    x: ArrayLike,
    mean: ArrayLike,
    variance: ArrayLike,
    offset: ArrayLike | None,
    scale: ArrayLike | None,
    variance_epsilon: float,
    name: str | None = None,
) -> TensorLike:
    """``(x - mean) / sqrt(variance + variance_epsilon) * scale + offset``."""
    factor = ops.rsqrt(ops.add(variance, variance_epsilon))
    factor = factor if scale is None else ops.multiply(factor, scale)
    result = ops.multiply(ops.subtract(x, mean), factor)
    return result if offset is None else ops.add(result, offset)


def bias_add(
    value: ArrayLike, bias: ArrayLike, data_format: str | None = None, name: str | None = None
) -> TensorLike:
    """``value + bias``."""
    return ops.add(value, bias)


def embedding_lookup(
    params: ArrayLike, ids: ArrayLike, max_norm: None = None, name: str | None = None
) -> TensorLike:
    """The rows that `ids` name."""
    return ops.take(params, ids, 0)


def l2_loss(t: ArrayLike, name: str | None = None) -> TensorLike:
    """Half the sum of squares."""
    return ops.sum(ops.square(t)) / 2


def dropout(
    x: ArrayLike,
    rate: float,
    noise_shape: Sequence[int | None] | None = None,
    seed: Seed = None,
    name: str | None = None,
) -> TensorLike:
    """Zeros at random, the rest divided by ``1 - rate``."""
    return random.dropout(x, rate, noise_shape, seed)
