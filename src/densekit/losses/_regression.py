"""Losses of real-valued targets."""

from __future__ import annotations

from typing import ClassVar

from densekit import ops
from densekit._core import settings
from densekit._core.native_form import NativeForm, has_native_form
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit.losses._base import BuiltinLoss, LossFunctionWrapper
from densekit.losses._native_forms import epsilon_form, has_native_loss
from densekit.losses._shapes import aligned

Reduction = str | None


def _cosine_form(axis: int = -1) -> NativeForm | None:
    return NativeForm("cosine_similarity", (settings.epsilon(),)) if axis == -1 else None


@export("keras.losses", "mse", "MSE")
@has_native_form("mean_squared_error")
@has_native_loss(lambda: NativeForm("mean_squared_error"))
def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> TensorLike:
    """Mean of squared errors along the last axis.

    Formula: ``mean((y_true - y_pred)**2)``. The result is ``(batch, ...)``.

    Args:
        y_true: targets ``(batch, ..., n)``.
        y_pred: predictions of the same shape; ``(batch,)`` and ``(batch, 1)`` go together.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> keras.losses.mean_squared_error([[0.0, 0.0]], [[1.0, 3.0]]).tolist()
    [5.0]
    """
    y_true, y_pred = aligned(y_true, y_pred, "mean_squared_error")
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


@export("keras.losses")
class MeanSquaredError(BuiltinLoss):
    """Mean of squared errors.

    Formula: ``mean((y_true - y_pred)**2)``.

    Args:
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"mean_squared_error"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if `y_true` and `y_pred` do not fit each other, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> float(keras.losses.MeanSquaredError()([[0.0, 0.0]], [[1.0, 3.0]]))
    5.0
    """

    def __init__(
        self,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "mean_squared_error",
        dtype: object = None,
    ) -> None:
        super().__init__(mean_squared_error, reduction, name, dtype)

    native_form = LossFunctionWrapper.native_form


@export("keras.losses", "mae", "MAE")
@has_native_form("mean_absolute_error")
@has_native_loss(lambda: NativeForm("mean_absolute_error"))
def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> TensorLike:
    """Mean of absolute errors along the last axis.

    Formula: ``mean(abs(y_true - y_pred))``. The result is ``(batch, ...)``.

    Args:
        y_true: targets ``(batch, ..., n)``.
        y_pred: predictions of the same shape; ``(batch,)`` and ``(batch, 1)`` go together.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> keras.losses.mean_absolute_error([[0.0, 0.0]], [[1.0, -3.0]]).tolist()
    [2.0]
    """
    y_true, y_pred = aligned(y_true, y_pred, "mean_absolute_error")
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


@export("keras.losses")
class MeanAbsoluteError(BuiltinLoss):
    """Mean of absolute errors.

    Formula: ``mean(abs(y_true - y_pred))``.

    Args:
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"mean_absolute_error"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if `y_true` and `y_pred` do not fit each other, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> float(keras.losses.MeanAbsoluteError()([[0.0, 0.0]], [[1.0, -3.0]]))
    2.0
    """

    def __init__(
        self,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "mean_absolute_error",
        dtype: object = None,
    ) -> None:
        super().__init__(mean_absolute_error, reduction, name, dtype)

    native_form = LossFunctionWrapper.native_form


@export("keras.losses", "mape", "MAPE")
@has_native_loss(epsilon_form("mean_absolute_percentage_error"))
def mean_absolute_percentage_error(y_true: ArrayLike, y_pred: ArrayLike) -> TensorLike:
    """Mean of relative errors along the last axis, in percent.

    Formula: ``100 * mean(abs(y_true - y_pred) / max(abs(y_true), epsilon))``. The result is
    ``(batch, ...)``.

    Args:
        y_true: targets ``(batch, ..., n)``.
        y_pred: predictions of the same shape; ``(batch,)`` and ``(batch, 1)`` go together.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> keras.losses.mean_absolute_percentage_error([[2.0]], [[1.0]]).tolist()
    [50.0]
    """
    y_true, y_pred = aligned(y_true, y_pred, "mean_absolute_percentage_error")
    size = ops.maximum(ops.abs(y_true), settings.epsilon())
    return 100.0 * ops.mean(ops.abs((y_true - y_pred) / size), axis=-1)


@export("keras.losses")
class MeanAbsolutePercentageError(BuiltinLoss):
    """Mean of relative errors, in percent.

    Formula: ``100 * mean(abs(y_true - y_pred) / max(abs(y_true), epsilon))``.

    Args:
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"mean_absolute_percentage_error"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if `y_true` and `y_pred` do not fit each other, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> float(keras.losses.MeanAbsolutePercentageError()([[2.0]], [[1.0]]))
    50.0
    """

    def __init__(
        self,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "mean_absolute_percentage_error",
        dtype: object = None,
    ) -> None:
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)

    native_form = LossFunctionWrapper.native_form


@export("keras.losses", "msle", "MSLE")
@has_native_loss(epsilon_form("mean_squared_logarithmic_error"))
def mean_squared_logarithmic_error(y_true: ArrayLike, y_pred: ArrayLike) -> TensorLike:
    """Mean of squared differences of logarithms along the last axis.

    Formula: ``mean((log(1 + max(y_true, epsilon)) - log(1 + max(y_pred, epsilon)))**2)``. The
    result is ``(batch, ...)``.

    Args:
        y_true: targets ``(batch, ..., n)``.
        y_pred: predictions of the same shape; ``(batch,)`` and ``(batch, 1)`` go together.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> keras.losses.mean_squared_logarithmic_error([[3.0]], [[3.0]]).tolist()
    [0.0]
    """
    y_true, y_pred = aligned(y_true, y_pred, "mean_squared_logarithmic_error")
    log_pred = ops.log(ops.maximum(y_pred, settings.epsilon()) + 1.0)
    log_true = ops.log(ops.maximum(y_true, settings.epsilon()) + 1.0)
    return ops.mean(ops.square(log_pred - log_true), axis=-1)


@export("keras.losses")
class MeanSquaredLogarithmicError(BuiltinLoss):
    """Mean of squared differences of logarithms.

    Formula: ``mean((log(1 + max(y_true, epsilon)) - log(1 + max(y_pred, epsilon)))**2)``.

    Args:
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"mean_squared_logarithmic_error"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if `y_true` and `y_pred` do not fit each other, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> float(keras.losses.MeanSquaredLogarithmicError()([[3.0]], [[3.0]]))
    0.0
    """

    def __init__(
        self,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "mean_squared_logarithmic_error",
        dtype: object = None,
    ) -> None:
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)

    native_form = LossFunctionWrapper.native_form


@export("keras.losses")
@has_native_loss(_cosine_form)
def cosine_similarity(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> TensorLike:
    """Minus the cosine of the angle between targets and predictions.

    Formula: ``-sum(u * v)`` with ``u``, ``v`` the two scaled to length 1 (a vector of zeros stays
    zero). The result is ``(batch, ...)``.

    Args:
        y_true: targets ``(batch, ..., n)``.
        y_pred: predictions of the same shape; ``(batch,)`` and ``(batch, 1)`` go together.
        axis: axis along which the vectors run. Default: ``-1``.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> keras.losses.cosine_similarity([[0.0, 1.0]], [[0.0, 2.0]]).tolist()
    [-1.0]
    """
    y_true, y_pred = aligned(y_true, y_pred, "cosine_similarity")
    return -ops.sum(ops.normalize(y_true, axis=axis) * ops.normalize(y_pred, axis=axis), axis=axis)


@export("keras.losses")
class CosineSimilarity(BuiltinLoss):
    """Minus the cosine of the angle between targets and predictions.

    Formula: ``-sum(u * v)`` with ``u``, ``v`` the two scaled to length 1 (a vector of zeros stays
    zero).

    Args:
        axis: axis along which the vectors run. Default: ``-1``.
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"cosine_similarity"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if `y_true` and `y_pred` do not fit each other, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> float(keras.losses.CosineSimilarity()([[0.0, 1.0]], [[0.0, 2.0]]))
    -1.0
    """

    _dk_seldom: ClassVar[Config] = {"axis": -1}

    def __init__(
        self,
        axis: int = -1,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "cosine_similarity",
        dtype: object = None,
    ) -> None:
        super().__init__(
            cosine_similarity,
            reduction,
            name,
            dtype,
            axis=axis,
        )

    native_form = LossFunctionWrapper.native_form
