"""Losses of signed targets: hinge and its kin."""

from __future__ import annotations

from densekit import ops
from densekit._core.registry import export
from densekit._core.types import ArrayLike, TensorLike
from densekit.losses._base import BuiltinLoss, LossFunctionWrapper
from densekit.losses._native_forms import has_native_loss, plain_form
from densekit.losses._shapes import aligned

Reduction = str | None


def _plus_minus(y_true: TensorLike) -> TensorLike:
    """Targets as -1 and 1: if all of them are 0 or 1 they are converted, else left alone."""
    binary = ops.all(ops.logical_or(ops.equal(y_true, 0), ops.equal(y_true, 1)))
    return ops.where(binary, 2.0 * y_true - 1.0, y_true)


@export("keras.losses")
@has_native_loss(plain_form("hinge"))
def hinge(y_true: ArrayLike, y_pred: ArrayLike) -> TensorLike:
    """Mean along the last axis of how far predictions are from the right side by a margin of 1.

    Formula: ``mean(max(1 - y_true * y_pred, 0))``, targets -1 or 1 (0 and 1 are converted). The
    result is ``(batch, ...)``.

    Args:
        y_true: targets ``(batch, ..., n)``.
        y_pred: predictions of the same shape; ``(batch,)`` and ``(batch, 1)`` go together.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> keras.losses.hinge([[-1.0, 1.0]], [[0.0, 0.5]]).tolist()
    [0.75]

    Reference: Cortes and Vapnik, "Support-vector networks", 1995.
    """
    y_true, y_pred = aligned(y_true, y_pred, "hinge")
    return ops.mean(ops.maximum(1.0 - _plus_minus(y_true) * y_pred, 0.0), axis=-1)


@export("keras.losses")
class Hinge(BuiltinLoss):
    """How far predictions are from the right side by a margin of 1.

    Formula: ``mean(max(1 - y_true * y_pred, 0))``, targets -1 or 1 (0 and 1 are converted).

    Args:
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"hinge"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if `y_true` and `y_pred` do not fit each other, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> float(keras.losses.Hinge()([[-1.0, 1.0]], [[0.0, 0.5]]))
    0.75

    Reference: Cortes and Vapnik, "Support-vector networks", 1995.
    """

    def __init__(
        self,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "hinge",
        dtype: object = None,
    ) -> None:
        super().__init__(hinge, reduction, name, dtype)

    native_form = LossFunctionWrapper.native_form


@export("keras.losses")
@has_native_loss(plain_form("squared_hinge"))
def squared_hinge(y_true: ArrayLike, y_pred: ArrayLike) -> TensorLike:
    """Mean of the squares of `hinge` along the last axis.

    Formula: ``mean(max(1 - y_true * y_pred, 0)**2)``, targets -1 or 1 (0 and 1 are converted). The
    result is ``(batch, ...)``.

    Args:
        y_true: targets ``(batch, ..., n)``.
        y_pred: predictions of the same shape; ``(batch,)`` and ``(batch, 1)`` go together.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> keras.losses.squared_hinge([[-1.0, 1.0]], [[0.0, 0.5]]).tolist()
    [0.625]
    """
    y_true, y_pred = aligned(y_true, y_pred, "squared_hinge")
    return ops.mean(ops.square(ops.maximum(1.0 - _plus_minus(y_true) * y_pred, 0.0)), axis=-1)


@export("keras.losses")
class SquaredHinge(BuiltinLoss):
    """Mean of the squares of `Hinge`.

    Formula: ``mean(max(1 - y_true * y_pred, 0)**2)``, targets -1 or 1 (0 and 1 are converted).

    Args:
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"squared_hinge"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if `y_true` and `y_pred` do not fit each other, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> float(keras.losses.SquaredHinge()([[-1.0, 1.0]], [[0.0, 0.5]]))
    0.625
    """

    def __init__(
        self,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "squared_hinge",
        dtype: object = None,
    ) -> None:
        super().__init__(squared_hinge, reduction, name, dtype)

    native_form = LossFunctionWrapper.native_form


@export("keras.losses")
@has_native_loss(plain_form("categorical_hinge"))
def categorical_hinge(y_true: ArrayLike, y_pred: ArrayLike) -> TensorLike:
    """How far the right class is from beating every other by a margin of 1.

    Formula: ``max(neg - pos + 1, 0)``, ``pos = sum(y_true * y_pred)``,
    ``neg = max((1 - y_true) * y_pred)``. The result is ``(batch, ...)``.

    Args:
        y_true: targets ``(batch, ..., n)``.
        y_pred: predictions of the same shape; ``(batch,)`` and ``(batch, 1)`` go together.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> keras.losses.categorical_hinge([[0.0, 1.0]], [[0.5, 0.5]]).tolist()
    [1.0]

    Reference: Crammer and Singer, "On the algorithmic implementation of multiclass kernel-based
        vector
    machines", 2001.
    """
    y_true, y_pred = aligned(y_true, y_pred, "categorical_hinge")
    right = ops.sum(y_true * y_pred, axis=-1)
    wrong = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return ops.maximum(wrong - right + 1.0, 0.0)


@export("keras.losses")
class CategoricalHinge(BuiltinLoss):
    """How far the right class is from beating every other by a margin of 1.

    Formula: ``max(neg - pos + 1, 0)``, ``pos = sum(y_true * y_pred)``,
    ``neg = max((1 - y_true) * y_pred)``.

    Args:
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"categorical_hinge"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if `y_true` and `y_pred` do not fit each other, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> float(keras.losses.CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.5]]))
    1.0
    """

    def __init__(
        self,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "categorical_hinge",
        dtype: object = None,
    ) -> None:
        super().__init__(categorical_hinge, reduction, name, dtype)

    native_form = LossFunctionWrapper.native_form
