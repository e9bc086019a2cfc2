"""A cross-entropy for labels that may be wrong."""

from __future__ import annotations

import math
from typing import Any

from densekit import ops
from densekit._core.errors import describe, message
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, TensorLike
from densekit.losses._base import BuiltinLoss, LossFunctionWrapper
from densekit.losses._native_forms import are_numbers, has_native_loss
from densekit.losses._shapes import as_float, labels

Reduction = str | None


def _generalized_form(q: Any = None) -> NativeForm | None:
    if not are_numbers(q) or q <= 0:
        return None
    return NativeForm("categorical_generalized_cross_entropy", (float(q), math.nan))


@export("keras.losses")
@has_native_loss(_generalized_form)
def categorical_generalized_cross_entropy(
    y_true: ArrayLike, y_pred: ArrayLike, q: float
) -> TensorLike:
    """Cross-entropy of integer labels that forgives wrong labels.

    Formula: ``(1 - p[y_true]**q) / q``. The result is ``(batch, ...)``.

    Args:
        y_true: integer labels ``(batch, ...)`` or ``(batch, ..., 1)``, 0 to classes - 1.
        y_pred: probabilities ``(batch, ..., classes)``.
        q: between 0 (cross-entropy) and 1 (absolute error).

    Raises:
        ValueError: if the shapes do not fit.

    Example:

    >>> import densekit as keras
    >>> keras.losses.categorical_generalized_cross_entropy([1], [[0.75, 0.25]], q=0.5).tolist()
    [1.0]

    Reference: Zhang and Sabuncu, arXiv:1805.07836, equation 6.
    """
    y_pred = as_float(y_pred)
    classes = labels(y_true, y_pred, "categorical_generalized_cross_entropy")
    one_hot = ops.one_hot(classes, y_pred.shape[-1], dtype=y_pred.dtype)
    return (1 - ops.power(ops.sum(y_pred * one_hot, axis=-1), q)) / q


@export("keras.losses")
class CategoricalGeneralizedCrossEntropy(BuiltinLoss):
    """Cross-entropy of integer labels that forgives wrong labels.

    Formula: ``(1 - p[y_true]**q) / q``.

    Args:
        q: between 0 (cross-entropy) and 1 (absolute error), both excluded. Default: ``0.5``.
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"categorical_generalized_cross_entropy"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if `y_true` and `y_pred` do not fit each other, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> float(keras.losses.CategoricalGeneralizedCrossEntropy()([1], [[0.75, 0.25]]))
    1.0

    Reference: Zhang and Sabuncu, arXiv:1805.07836, equation 6.
    """

    def __init__(
        self,
        q: float = 0.5,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "categorical_generalized_cross_entropy",
        dtype: object = None,
    ) -> None:
        if not 0 < q < 1:
            raise ValueError(
                message(
                    "CategoricalGeneralizedCrossEntropy",
                    "`q` between 0 and 1, both excluded",
                    describe(q),
                    "Pass e.g. q=0.5.",
                )
            )
        super().__init__(
            categorical_generalized_cross_entropy,
            reduction,
            name,
            dtype,
            q=q,
        )

    native_form = LossFunctionWrapper.native_form
