"""Cross-entropies that look at the hard cases: focal losses."""

from __future__ import annotations

import math
from typing import Any

from densekit import ops
from densekit._core import settings
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, TensorLike
from densekit.losses._base import BuiltinLoss, LossFunctionWrapper
from densekit.losses._crossentropy import check_axis, smooth_classes, warn_of_one_class
from densekit.losses._native_forms import are_numbers, has_native_loss
from densekit.losses._shapes import aligned

Reduction = str | None


def _focal_form(
    kind: str, alpha: Any, gamma: Any, from_logits: bool, label_smoothing: float, axis: int
) -> NativeForm | None:
    if axis != -1 or not are_numbers(alpha, gamma) or gamma < 0:
        return None
    numbers = (from_logits, label_smoothing, settings.epsilon(), gamma, alpha)
    return NativeForm(kind, tuple(float(x) for x in numbers))


def _binary_focal_form(
    apply_class_balancing: bool = False,
    alpha: object = 0.25,
    gamma: object = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> NativeForm | None:
    weight = alpha if apply_class_balancing else math.nan
    kind = "binary_focal_crossentropy"
    return _focal_form(kind, weight, gamma, from_logits, label_smoothing, axis)


def _categorical_focal_form(
    alpha: object = 0.25,
    gamma: object = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> NativeForm | None:
    kind = "categorical_focal_crossentropy"
    return _focal_form(kind, alpha, gamma, from_logits, label_smoothing, axis)


@export("keras.losses")
@has_native_loss(_binary_focal_form)
def binary_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> TensorLike:
    """Binary cross-entropy weighted towards wrong predictions, averaged along `axis`.

    Formula: mean of ``(1 - p_t)**gamma * bce(t, p)`` with ``p_t = t p + (1 - t)(1 - p)``; with
    class balancing also times ``alpha t + (1 - alpha)(1 - t)``. The result is ``(batch, ...)``.

    Args:
        y_true: targets ``(batch, ..., n)``.
        y_pred: predictions of the same shape; ``(batch,)`` and ``(batch, 1)`` go together.
        apply_class_balancing: whether `alpha` weights the classes. Default: ``False``.
        alpha: weight of class 1, 0 to 1. Default: ``0.25``.
        gamma: 0 gives the plain cross-entropy. Default: ``2.0``.
        from_logits: whether `y_pred` is log-odds instead of probabilities. Default: ``False``.
        label_smoothing: 0 to 1; targets are drawn towards 1/2 by it. Default: ``0.0``.
        axis: axis to average over. Default: ``-1``.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> round(keras.losses.binary_focal_crossentropy([[1.0]], [[0.5]]).item(), 4)
    0.1733

    Reference: Lin et al., arXiv:1708.02002, equation 5.
    """
    y_true, y_pred = aligned(y_true, y_pred, "binary_focal_crossentropy")
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        y_pred = ops.sigmoid(y_pred)
    values = ops.binary_crossentropy(y_true, y_pred, from_logits=False)
    right = y_true * y_pred + (1 - y_true) * (1 - y_pred)
    values = ops.power(1.0 - right, gamma) * values
    if apply_class_balancing:
        values = (y_true * alpha + (1 - y_true) * (1 - alpha)) * values
    return ops.mean(values, axis=axis)


@export("keras.losses")
class BinaryFocalCrossentropy(BuiltinLoss):
    """Binary cross-entropy weighted towards wrong predictions.

    Formula: mean of ``(1 - p_t)**gamma * bce(t, p)`` with ``p_t = t p + (1 - t)(1 - p)``; with
    class balancing also times ``alpha t + (1 - alpha)(1 - t)``.

    Args:
        apply_class_balancing: whether `alpha` weights the classes. Default: ``False``.
        alpha: weight of class 1, 0 to 1. Default: ``0.25``.
        gamma: 0 gives the plain cross-entropy. Default: ``2.0``.
        from_logits: whether `y_pred` is log-odds instead of probabilities. Default: ``False``.
        label_smoothing: 0 to 1; targets are drawn towards 1/2 by it. Default: ``0.0``.
        axis: axis to average over. Default: ``-1``.
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"binary_focal_crossentropy"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if `y_true` and `y_pred` do not fit each other, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> round(float(keras.losses.BinaryFocalCrossentropy()([[1.0]], [[0.5]])), 4)
    0.1733

    Reference: Lin et al., arXiv:1708.02002, equation 5.
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
        dtype: object = None,
    ) -> None:
        super().__init__(
            binary_focal_crossentropy,
            reduction,
            name,
            dtype,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )

    native_form = LossFunctionWrapper.native_form


@export("keras.losses")
@has_native_loss(_categorical_focal_form)
def categorical_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> TensorLike:
    """Cross-entropy of one-hot targets weighted towards wrong predictions.

    Formula: ``sum(alpha * (1 - p)**gamma * -t * log(p))``, ``p`` divided by its sum and clipped to
    [epsilon, 1 - epsilon]. The result is ``(batch, ...)``.

    Args:
        y_true: targets ``(batch, ..., n)``.
        y_pred: predictions of the same shape; ``(batch,)`` and ``(batch, 1)`` go together.
        alpha: factor, or one per class. Default: ``0.25``.
        gamma: 0 gives the plain cross-entropy, times `alpha`. Default: ``2.0``.
        from_logits: whether `y_pred` is scores instead of probabilities. Default: ``False``.
        label_smoothing: 0 to 1; that share of a row's sum goes to all classes. Default: ``0.0``.
        axis: axis of the classes. Default: ``-1``.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> round(keras.losses.categorical_focal_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).item(), 4)
    0.0433

    Reference: Lin et al., arXiv:1708.02002, equation 5.
    """
    check_axis("categorical_focal_crossentropy", axis)
    y_true, y_pred = aligned(y_true, y_pred, "categorical_focal_crossentropy")
    warn_of_one_class("categorical_focal_crossentropy", y_pred)
    y_true = smooth_classes(y_true, label_smoothing)
    if from_logits:
        y_pred = ops.softmax(y_pred, axis=axis)
    p = y_pred / ops.sum(y_pred, axis=axis, keepdims=True)
    p = ops.clip(p, settings.epsilon(), 1.0 - settings.epsilon())
    return ops.sum(alpha * ops.power(1.0 - p, gamma) * -y_true * ops.log(p), axis=axis)


@export("keras.losses")
class CategoricalFocalCrossentropy(BuiltinLoss):
    """Cross-entropy of one-hot targets weighted towards wrong predictions.

    Formula: ``sum(alpha * (1 - p)**gamma * -t * log(p))``, ``p`` divided by its sum and clipped to
    [epsilon, 1 - epsilon].

    Args:
        alpha: factor, or one per class. Default: ``0.25``.
        gamma: 0 gives the plain cross-entropy, times `alpha`. Default: ``2.0``.
        from_logits: whether `y_pred` is scores instead of probabilities. Default: ``False``.
        label_smoothing: 0 to 1; that share of a row's sum goes to all classes. Default: ``0.0``.
        axis: axis of the classes. Default: ``-1``.
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"categorical_focal_crossentropy"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if `y_true` and `y_pred` do not fit each other, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> loss = keras.losses.CategoricalFocalCrossentropy()
    >>> round(float(loss([[0.0, 1.0]], [[0.5, 0.5]])), 4)
    0.0433

    Reference: Lin et al., arXiv:1708.02002, equation 5.
    """

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "categorical_focal_crossentropy",
        dtype: object = None,
    ) -> None:
        super().__init__(
            categorical_focal_crossentropy,
            reduction,
            name,
            dtype,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )

    native_form = LossFunctionWrapper.native_form
