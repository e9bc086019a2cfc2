"""Losses of overlapping sets: Dice and Tversky."""

from __future__ import annotations

from typing import Any

from densekit import ops
from densekit._core import settings
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, TensorLike
from densekit.losses._base import BuiltinLoss, LossFunctionWrapper
from densekit.losses._native_forms import are_numbers, has_native_loss
from densekit.losses._shapes import aligned

Reduction = str | None
Axis = int | tuple[int, ...] | None


# A kernel takes a row, or the whole batch, for one set.
_KERNEL_AXES = (None, -1, (-1,))


def _dice_form(axis: Axis = None) -> NativeForm | None:
    if axis not in _KERNEL_AXES:
        return None
    return NativeForm("dice", (settings.epsilon(),), axis is None)


def _tversky_form(alpha: Any = 0.5, beta: Any = 0.5, axis: Axis = None) -> NativeForm | None:
    if axis not in _KERNEL_AXES or not are_numbers(alpha, beta):
        return None
    return NativeForm("tversky", (float(alpha), float(beta), settings.epsilon()), axis is None)


@export("keras.losses")
@has_native_loss(_dice_form)
def dice(y_true: ArrayLike, y_pred: ArrayLike, axis: Axis = None) -> TensorLike:
    """One minus the share that two sets have in common.

    Formula: ``1 - 2 sum(t p) / (sum(t) + sum(p) + epsilon)``. The result is without `axis`.

    Args:
        y_true: targets ``(batch, ..., n)``.
        y_pred: predictions of the same shape; ``(batch,)`` and ``(batch, 1)`` go together.
        axis: axis, or axes, of one set; None: the whole batch is one. Default: ``None``.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> float(keras.losses.dice([[1.0, 0.0]], [[0.0, 1.0]]))
    1.0

    Reference: Dice, "Measures of the amount of ecologic association between species", 1945.
    """
    y_true, y_pred = aligned(y_true, y_pred, "dice")
    common = ops.sum(y_true * y_pred, axis=axis)
    total = ops.sum(y_true, axis=axis) + ops.sum(y_pred, axis=axis)
    return 1 - 2.0 * common / (total + settings.epsilon())


@export("keras.losses")
class Dice(BuiltinLoss):
    """One minus the share that two sets have in common.

    Formula: ``1 - 2 sum(t p) / (sum(t) + sum(p) + epsilon)``.

    Args:
        axis: axis, or axes, of one set; None: the whole batch is one. Default: ``None``.
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"dice"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if `y_true` and `y_pred` do not fit each other, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> float(keras.losses.Dice()([[1.0, 0.0]], [[0.0, 1.0]]))
    1.0
    """

    def __init__(
        self,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "dice",
        axis: Axis = None,
        dtype: object = None,
    ) -> None:
        super().__init__(
            dice,
            reduction,
            name,
            dtype,
            axis=axis,
        )

    native_form = LossFunctionWrapper.native_form


@export("keras.losses")
@has_native_loss(_tversky_form)
def tversky(
    y_true: ArrayLike, y_pred: ArrayLike, alpha: float = 0.5, beta: float = 0.5, axis: Axis = None
) -> TensorLike:
    """`dice` with a weight of its own for each kind of error.

    Formula: ``1 - c / (c + alpha * sum(t (1 - p)) + beta * sum((1 - t) p) + epsilon)``,
    ``c = sum(t p)``. The result is without `axis`.

    Args:
        y_true: targets ``(batch, ..., n)``.
        y_pred: predictions of the same shape; ``(batch,)`` and ``(batch, 1)`` go together.
        alpha: weight of what was missed. Default: ``0.5``.
        beta: weight of false alarms. Default: ``0.5``.
        axis: axis, or axes, of one set; None: the whole batch is one. Default: ``None``.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> float(keras.losses.tversky([[1.0, 0.0]], [[0.0, 1.0]]))
    1.0

    Reference: Salehi, Erdogmus and Gholipour, arXiv:1706.05721, equation 2.
    """
    y_true, y_pred = aligned(y_true, y_pred, "tversky")
    common = ops.sum(y_true * y_pred, axis=axis)
    missed = ops.sum(y_true * (1 - y_pred), axis=axis)
    false = ops.sum((1 - y_true) * y_pred, axis=axis)
    return 1 - common / (common + alpha * missed + beta * false + settings.epsilon())


@export("keras.losses")
class Tversky(BuiltinLoss):
    """`Dice` with a weight of its own for each kind of error.

    Formula: ``1 - c / (c + alpha * sum(t (1 - p)) + beta * sum((1 - t) p) + epsilon)``,
    ``c = sum(t p)``.

    Args:
        alpha: weight of what was missed. Default: ``0.5``.
        beta: weight of false alarms. Default: ``0.5``.
        axis: axis, or axes, of one set; None: the whole batch is one. Default: ``None``.
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"tversky"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if `y_true` and `y_pred` do not fit each other, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> float(keras.losses.Tversky()([[1.0, 0.0]], [[0.0, 1.0]]))
    1.0

    Reference: Salehi, Erdogmus and Gholipour, arXiv:1706.05721, equation 2.
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "tversky",
        axis: Axis = None,
        dtype: object = None,
    ) -> None:
        super().__init__(
            tversky,
            reduction,
            name,
            dtype,
            alpha=alpha,
            beta=beta,
            axis=axis,
        )

    native_form = LossFunctionWrapper.native_form
