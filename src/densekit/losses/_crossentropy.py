"""Losses of probabilities: what a wrong bet costs."""

from __future__ import annotations

import math
from typing import ClassVar

from densekit import ops
from densekit._core import settings
from densekit._core.errors import describe, message
from densekit._core.frames import warn
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit.losses._base import BuiltinLoss, LossFunctionWrapper
from densekit.losses._native_forms import has_native_loss
from densekit.losses._shapes import aligned, as_float, labels

Reduction = str | None


def check_axis(loss: str, axis: object) -> None:
    """`axis` must be an integer; True and False are none, although Python says so."""
    if isinstance(axis, bool):
        raise ValueError(message(loss, "`axis` to be an integer", describe(axis), "Pass axis=-1."))


def smooth_classes(y_true: TensorLike, label_smoothing: float) -> TensorLike:
    """Move a share of each row's sum to all its classes equally."""
    if not label_smoothing:
        return y_true
    return y_true * (1.0 - label_smoothing) + label_smoothing / y_true.shape[-1]


def warn_of_one_class(loss: str, y_pred: TensorLike) -> None:
    """One class has probability 1 whatever the model computes."""
    if y_pred.shape[-1] == 1:
        warn(
            message(
                loss,
                "y_pred of shape (batch, classes) with more than 1 class",
                f"{tuple(y_pred.shape)}",
                "For two classes use one sigmoid unit and 'binary_crossentropy'.",
            ),
            SyntaxWarning,
        )


def _binary_form(
    from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> NativeForm | None:
    numbers = (float(from_logits), float(label_smoothing), settings.epsilon())
    return NativeForm("binary_crossentropy", numbers) if axis == -1 else None


def _categorical_form(
    from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> NativeForm | None:
    numbers = (float(from_logits), float(label_smoothing), settings.epsilon())
    return NativeForm("categorical_crossentropy", numbers) if axis == -1 else None


def _sparse_form(
    from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> NativeForm | None:
    # With an ignored class the mean runs over the other samples only, which is no longer a matter
    # of single rows: that loss runs on the host.
    if axis != -1 or ignore_class is not None:
        return None
    numbers = (float(from_logits), math.nan, settings.epsilon())  # the one NaN that equals itself
    return NativeForm("sparse_categorical_crossentropy", numbers)


@export("keras.losses", "bce", "BCE")
@has_native_loss(_binary_form)
def binary_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> TensorLike:
    """Cross-entropy of independent yes/no targets, averaged along `axis`.

    Formula: mean of ``-t * log(p) - (1 - t) * log(1 - p)``, ``p`` clipped to [epsilon, 1 -
    epsilon]; with `from_logits`: ``p = sigmoid(y_pred)``, without clipping. The result is
    ``(batch, ...)``.

    Args:
        y_true: targets ``(batch, ..., n)``.
        y_pred: predictions of the same shape; ``(batch,)`` and ``(batch, 1)`` go together.
        from_logits: whether `y_pred` is log-odds instead of probabilities. Default: ``False``.
        label_smoothing: 0 to 1; targets are drawn towards 1/2 by it. Default: ``0.0``.
        axis: axis to average over. Default: ``-1``.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> round(keras.losses.binary_crossentropy([[1.0]], [[0.5]]).item(), 4)
    0.6931
    """
    y_true, y_pred = aligned(y_true, y_pred, "binary_crossentropy")
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    values = ops.binary_crossentropy(y_true, y_pred, from_logits=from_logits)
    return ops.mean(values, axis=axis)


@export("keras.losses")
class BinaryCrossentropy(BuiltinLoss):
    """Cross-entropy of independent yes/no targets.

    Formula: mean of ``-t * log(p) - (1 - t) * log(1 - p)``, ``p`` clipped to [epsilon, 1 -
    epsilon]; with `from_logits`: ``p = sigmoid(y_pred)``, without clipping.

    Args:
        from_logits: whether `y_pred` is log-odds instead of probabilities. Default: ``False``.
        label_smoothing: 0 to 1; targets are drawn towards 1/2 by it. Default: ``0.0``.
        axis: axis to average over. Default: ``-1``.
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"binary_crossentropy"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if `y_true` and `y_pred` do not fit each other, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> round(float(keras.losses.BinaryCrossentropy()([[1.0]], [[0.5]])), 4)
    0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: object = None,
    ) -> None:
        super().__init__(
            binary_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )

    native_form = LossFunctionWrapper.native_form


@export("keras.losses")
@has_native_loss(_categorical_form)
def categorical_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> TensorLike:
    """Cross-entropy of one-hot targets.

    Formula: ``-sum(t * log(p))``, ``p`` divided by its sum and clipped to [epsilon, 1 - epsilon];
    with `from_logits`: ``p = softmax(y_pred)``, without clipping. The result is ``(batch, ...)``.

    Args:
        y_true: targets ``(batch, ..., n)``.
        y_pred: predictions of the same shape; ``(batch,)`` and ``(batch, 1)`` go together.
        from_logits: whether `y_pred` is scores instead of probabilities. Default: ``False``.
        label_smoothing: 0 to 1; that share of a row's sum goes to all classes. Default: ``0.0``.
        axis: axis of the classes. Default: ``-1``.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> round(keras.losses.categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).item(), 4)
    0.6931
    """
    check_axis("categorical_crossentropy", axis)
    y_true, y_pred = aligned(y_true, y_pred, "categorical_crossentropy")
    warn_of_one_class("categorical_crossentropy", y_pred)
    y_true = smooth_classes(y_true, label_smoothing)
    return ops.categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)


@export("keras.losses")
class CategoricalCrossentropy(BuiltinLoss):
    """Cross-entropy of one-hot targets ``(batch, ..., classes)``.

    Formula: ``-sum(t * log(p))``, ``p`` divided by its sum and clipped to [epsilon, 1 - epsilon];
    with `from_logits`: ``p = softmax(y_pred)``, without clipping.

    Args:
        from_logits: whether `y_pred` is scores instead of probabilities. Default: ``False``.
        label_smoothing: 0 to 1; that share of a row's sum goes to all classes. Default: ``0.0``.
        axis: axis of the classes. Default: ``-1``.
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"categorical_crossentropy"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if `y_true` and `y_pred` do not fit each other, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> round(float(keras.losses.CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
    0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: object = None,
    ) -> None:
        super().__init__(
            categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )

    native_form = LossFunctionWrapper.native_form


@export("keras.losses")
@has_native_loss(_sparse_form)
def sparse_categorical_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> TensorLike:
    """Cross-entropy of integer labels.

    Formula: ``-log(p[y_true])``, ``p`` divided by its sum and clipped to [epsilon, 1 - epsilon];
    with `from_logits`: ``p = softmax(y_pred)``, without clipping. The result is ``(batch, ...)``.

    Args:
        y_true: integer labels ``(batch, ...)`` or ``(batch, ..., 1)``, 0 to classes - 1.
        y_pred: predictions ``(batch, ..., classes)``.
        from_logits: whether `y_pred` is scores instead of probabilities. Default: ``False``.
        ignore_class: label whose samples have loss 0. Default: ``None``.
        axis: axis of the classes, the last one. Default: ``-1``.

    Raises:
        ValueError: if the shapes do not fit, or `axis` is not the last.

    Example:

    >>> import densekit as keras
    >>> round(keras.losses.sparse_categorical_crossentropy([1], [[0.5, 0.5]]).item(), 4)
    0.6931
    """
    y_pred = as_float(y_pred)
    if axis not in (-1, len(y_pred.shape) - 1):
        raise ValueError(
            message(
                "sparse_categorical_crossentropy",
                "the classes on the last axis",
                f"axis={axis}",
                "Transpose y_pred and pass axis=-1.",
            )
        )
    classes = labels(y_true, y_pred, "sparse_categorical_crossentropy")
    if ignore_class is None:
        return ops.sparse_categorical_crossentropy(classes, y_pred, from_logits=from_logits)
    valid = ops.not_equal(classes, ignore_class)
    classes = ops.where(valid, classes, ops.zeros_like(classes))
    y_pred = ops.where(ops.expand_dims(valid, -1), y_pred, ops.ones_like(y_pred))
    values = ops.sparse_categorical_crossentropy(classes, y_pred, from_logits=from_logits)
    return ops.where(valid, values, ops.zeros_like(values))


@export("keras.losses")
class SparseCategoricalCrossentropy(BuiltinLoss):
    """Cross-entropy of integer labels ``(batch, ...)`` or ``(batch, ..., 1)``.

    Formula: ``-log(p[y_true])``, ``p`` divided by its sum and clipped to [epsilon, 1 - epsilon];
    with `from_logits`: ``p = softmax(y_pred)``, without clipping.

    Args:
        from_logits: whether `y_pred` is scores instead of probabilities. Default: ``False``.
        ignore_class: label whose samples do not count, in the mean neither. Default: ``None``.
        axis: axis of the classes, the last one. Default: ``-1``.
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"sparse_categorical_crossentropy"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if `y_true` and `y_pred` do not fit each other, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> round(float(keras.losses.SparseCategoricalCrossentropy()([1], [[0.5, 0.5]])), 4)
    0.6931
    """

    _dk_seldom: ClassVar[Config] = {"axis": -1}

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: Reduction = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: object = None,
    ) -> None:
        super().__init__(
            sparse_categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )

    def valid(self, y_true: ArrayLike, y_pred: TensorLike) -> TensorLike | None:
        """Where the label is not the ignored class."""
        ignored = self._fn_kwargs["ignore_class"]
        if ignored is None:
            return None
        return ops.not_equal(labels(y_true, y_pred, self.name), ignored)

    native_form = LossFunctionWrapper.native_form
