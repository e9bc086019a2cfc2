"""Losses of distributions and counts."""

from __future__ import annotations

from densekit import ops
from densekit._core import settings
from densekit._core.registry import export
from densekit._core.types import ArrayLike, TensorLike
from densekit.losses._base import BuiltinLoss, LossFunctionWrapper
from densekit.losses._native_forms import epsilon_form, has_native_loss
from densekit.losses._shapes import aligned

Reduction = str | None


@export("keras.losses", "kld", "KLD", "kullback_leibler_divergence")
@has_native_loss(epsilon_form("kl_divergence"))
def kl_divergence(y_true: ArrayLike, y_pred: ArrayLike) -> TensorLike:
    """How many nats the distribution `y_pred` wastes on data from `y_true`.

    Formula: ``sum(t * log(t / p))``, both clipped to [epsilon, 1]. The result is ``(batch, ...)``.

    Args:
        y_true: targets ``(batch, ..., n)``.
        y_pred: predictions of the same shape; ``(batch,)`` and ``(batch, 1)`` go together.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> keras.losses.kl_divergence([[0.5, 0.5]], [[0.5, 0.5]]).tolist()
    [0.0]

    Reference: Kullback and Leibler, "On information and sufficiency", 1951, equation 2.4.
    """
    y_true, y_pred = aligned(y_true, y_pred, "kl_divergence")
    y_true = ops.clip(y_true, settings.epsilon(), 1)
    y_pred = ops.clip(y_pred, settings.epsilon(), 1)
    return ops.sum(y_true * ops.log(y_true / y_pred), axis=-1)


@export("keras.losses")
class KLDivergence(BuiltinLoss):
    """How many nats the distribution `y_pred` wastes on data from `y_true`.

    Formula: ``sum(t * log(t / p))``, both clipped to [epsilon, 1].

    Args:
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"kl_divergence"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if `y_true` and `y_pred` do not fit each other, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> float(keras.losses.KLDivergence()([[0.5, 0.5]], [[0.5, 0.5]]))
    0.0

    Reference: Kullback and Leibler, "On information and sufficiency", 1951, equation 2.4.
    """

    def __init__(
        self,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "kl_divergence",
        dtype: object = None,
    ) -> None:
        super().__init__(kl_divergence, reduction, name, dtype)

    native_form = LossFunctionWrapper.native_form


@export("keras.losses")
@has_native_loss(epsilon_form("poisson"))
def poisson(y_true: ArrayLike, y_pred: ArrayLike) -> TensorLike:
    """Negative log-likelihood of counts with rate `y_pred`, without its constant, averaged.

    Formula: ``mean(y_pred - y_true * log(y_pred + epsilon))``. The result is ``(batch, ...)``.

    Args:
        y_true: targets ``(batch, ..., n)``.
        y_pred: predictions of the same shape; ``(batch,)`` and ``(batch, 1)`` go together.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> round(keras.losses.poisson([[2.0]], [[1.0]]).item(), 4)
    1.0
    """
    y_true, y_pred = aligned(y_true, y_pred, "poisson")
    return ops.mean(y_pred - y_true * ops.log(y_pred + settings.epsilon()), axis=-1)


@export("keras.losses")
class Poisson(BuiltinLoss):
    """Negative log-likelihood of counts with rate `y_pred`, without its constant.

    Formula: ``mean(y_pred - y_true * log(y_pred + epsilon))``.

    Args:
        reduction: see `Loss`. Default: ``"sum_over_batch_size"``.
        name: name of the loss. Default: ``"poisson"``.
        dtype: see `Loss`. Default: `floatx`.

    Raises:
        ValueError: if `y_true` and `y_pred` do not fit each other, or for an unknown `reduction`.

    Example:

    >>> import densekit as keras
    >>> round(float(keras.losses.Poisson()([[2.0]], [[1.0]])), 4)
    1.0
    """

    def __init__(
        self,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "poisson",
        dtype: object = None,
    ) -> None:
        super().__init__(poisson, reduction, name, dtype)

    native_form = LossFunctionWrapper.native_form
