"""Losses of real-valued targets that forgive outliers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from densekit import ops
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit.losses._base import BuiltinLoss, LossFunctionWrapper
from densekit.losses._native_forms import are_numbers, has_native_loss, plain_form
from densekit.losses._shapes import aligned

Reduction = str | None


def _huber_form(delta: Any = 1.0) -> NativeForm | None:
    return NativeForm("huber", (float(delta),)) if are_numbers(delta) else None


@export("keras.losses")
@has_native_loss(_huber_form)
def huber(y_true: ArrayLike, y_pred: ArrayLike, delta: float = 1.0) -> TensorLike:
    """Squared error near zero, absolute error beyond `delta`, averaged along the last axis.

    Formula: mean of ``e**2 / 2 if abs(e) <= delta else delta * abs(e) - delta**2 / 2``,
    ``e = y_pred - y_true``. The result is ``(batch, ...)``.

    Args:
        y_true: targets ``(batch, ..., n)``.
        y_pred: predictions of the same shape; ``(batch,)`` and ``(batch, 1)`` go together.
        delta: where the loss becomes linear, > 0. Default: ``1.0``.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> keras.losses.huber([[0.0, 0.0]], [[1.0, 3.0]]).tolist()
    [1.5]

    Reference: Huber, "Robust estimation of a location parameter", 1964.
    """
    y_true, y_pred = aligned(y_true, y_pred, "huber")
    error = y_pred - y_true
    size = ops.abs(error)
    values = ops.where(size <= delta, 0.5 * ops.square(error), delta * size - 0.5 * delta**2)
    return ops.mean(values, axis=-1)


@export("keras.losses")
class Huber(BuiltinLoss):
    """Squared error near zero, absolute error beyond `delta`.

    Formula: mean of ``e**2 / 2 if abs(e) <= delta else delta * abs(e) - delta**2 / 2``,
    ``e = y_pred - y_true``.

    Args:
        delta: where the loss becomes linear, > 0. Default: ``1.0``.
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"huber_loss"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if `y_true` and `y_pred` do not fit each other, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> float(keras.losses.Huber()([[0.0, 0.0]], [[1.0, 3.0]]))
    1.5

    Reference: Huber, "Robust estimation of a location parameter", 1964.
    """

    _dk_seldom: ClassVar[Config] = {"delta": 1.0}

    def __init__(
        self,
        delta: float = 1.0,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: object = None,
    ) -> None:
        super().__init__(
            huber,
            reduction,
            name,
            dtype,
            delta=delta,
        )

    native_form = LossFunctionWrapper.native_form


@export("keras.losses", "logcosh")
@has_native_loss(plain_form("log_cosh"))
def log_cosh(y_true: ArrayLike, y_pred: ArrayLike) -> TensorLike:
    """Mean of the logarithm of cosh of the error along the last axis: a smooth absolute error.

    Formula: ``mean(log(cosh(y_pred - y_true)))``, computed as ``e + softplus(-2 e) - log(2)``. The
    result is ``(batch, ...)``.

    Args:
        y_true: targets ``(batch, ..., n)``.
        y_pred: predictions of the same shape; ``(batch,)`` and ``(batch, 1)`` go together.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> round(keras.losses.log_cosh([[1.0]], [[1.0]]).item(), 6)
    0.0
    """
    y_true, y_pred = aligned(y_true, y_pred, "log_cosh")
    error = y_pred - y_true
    return ops.mean(error + ops.softplus(-2.0 * error) - math.log(2.0), axis=-1)


@export("keras.losses")
class LogCosh(BuiltinLoss):
    """Mean of the logarithm of cosh of the error: a smooth absolute error.

    Formula: ``mean(log(cosh(y_pred - y_true)))``.

    Args:
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"log_cosh"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if `y_true` and `y_pred` do not fit each other, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> round(float(keras.losses.LogCosh()([[1.0]], [[1.0]])), 6)
    0.0
    """

    def __init__(
        self,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "log_cosh",
        dtype: object = None,
    ) -> None:
        super().__init__(log_cosh, reduction, name, dtype)

    native_form = LossFunctionWrapper.native_form
