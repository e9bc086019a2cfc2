"""The circle loss: embeddings of one class together, of others apart."""

from __future__ import annotations

from densekit import ops
from densekit._core.masks import set_mask
from densekit._core.registry import export
from densekit._core.types import ArrayLike, TensorLike
from densekit.losses._base import BuiltinLoss
from densekit.losses._shapes import as_float, labels


@export("keras.losses")
def circle(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    ref_labels: ArrayLike | None = None,
    ref_embeddings: ArrayLike | None = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> TensorLike:
    """How far rows of one class are apart, and rows of different classes together.

    Formula: with the distances ``d = max(1 - y_pred @ ref.T, 0)`` of a row to others, m = `margin`:
    ``softplus(logsumexp(-gamma (m + d)(m - d)) + logsumexp(gamma max(1 + m - d, 0)(1 - m - d)))``,
    the first over rows of its class, the second over all others; 0 if there are none of one kind.
    The result is of shape ``(batch,)``, with a mask: what is above 0 alone counts in means.

    Args:
        y_true: integer labels ``(batch,)`` or ``(batch, 1)``.
        y_pred: embeddings ``(batch, n)``, rows of length 1.
        ref_labels: labels ``(m,)`` of the rows to compare with. Default: `y_true`.
        ref_embeddings: the rows to compare with, ``(m, n)``. Default: `y_pred`.
        remove_diagonal: whether row i of the batch and row i of the others are one and the same,
            and not compared. Default: ``True``.
        gamma: scale of the similarities. Default: ``80``.
        margin: what is close enough, ``0 < margin < 1``. Default: ``0.4``.

    Raises:
        ValueError: if there is not one label for each row.

    Example:

    >>> import densekit as keras
    >>> rows = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    >>> keras.losses.circle([0, 0, 1], rows).round(4).tolist()
    [0.0, 0.0, 0.0]
    >>> keras.losses.circle([0, 1, 0], rows).round().tolist()
    [134.0, 0.0, 54.0]

    Reference: Sun et al., arXiv:2002.10857, equation 6.
    """
    y_pred = as_float(y_pred)
    y_true = labels(y_true, y_pred, "circle")
    others = y_pred if ref_embeddings is None else ops.cast(ref_embeddings, y_pred.dtype)
    known = y_true if ref_labels is None else labels(ref_labels, others, "circle")

    alike = ops.equal(ops.expand_dims(y_true, 1), ops.expand_dims(known, 0))
    apart = ops.logical_not(alike)
    if remove_diagonal:
        itself = ops.eye(y_true.shape[0], known.shape[0], dtype="bool")
        alike = ops.logical_and(alike, ops.logical_not(itself))

    d = ops.maximum(1 - ops.matmul(y_pred, ops.transpose(others)), 0.0)
    near = -gamma * ops.maximum(margin + d, 0.0) * (margin - d)
    far = gamma * ops.maximum(1 + margin - d, 0.0) * (1 - margin - d)
    values = ops.softplus(_logsumexp(near, alike) + _logsumexp(far, apart))
    both = ops.logical_and(ops.any(alike, axis=1), ops.any(apart, axis=1))
    values = ops.where(both, values, ops.zeros_like(values))
    set_mask(values, ops.greater(values, 0))
    return values


def _logsumexp(x: ArrayLike, chosen: TensorLike) -> TensorLike:
    """Of the chosen elements of each row; of a row without any some finite number, constant."""
    none = ops.logical_not(ops.any(chosen, axis=1, keepdims=True))
    rest = ops.where(none, ops.zeros_like(x), ops.full_like(x, float("-inf")))
    return ops.logsumexp(ops.where(chosen, x, rest), axis=1)


@export("keras.losses")
class Circle(BuiltinLoss):
    """How far rows of one class are apart, and rows of different classes together.

    The model gives embeddings: a last `Dense` without activation, then `UnitNormalization`. A batch
    should hold several rows of each of several classes.

    Formula: that of `circle`, each row of the batch compared with all others; rows whose loss is 0
    do not count in the mean.

    Args:
        gamma: scale of the similarities. Default: ``80.0``.
        margin: what is close enough, ``0 < margin < 1``. Default: ``0.4``.
        remove_diagonal: whether rows are not compared with themselves. Default: ``True``.
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"circle"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if there is not one label for each row, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> loss = keras.losses.Circle(gamma=10.0)
    >>> round(float(loss([0, 0, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])), 4)
    0.04

    Reference: Sun et al., arXiv:2002.10857, equation 6.
    """

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "circle",
        dtype: object = None,
    ) -> None:
        super().__init__(
            circle,
            reduction,
            name,
            dtype,
            gamma=gamma,
            margin=margin,
            remove_diagonal=remove_diagonal,
        )
