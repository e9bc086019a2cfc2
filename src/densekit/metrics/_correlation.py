"""Correlations of targets and predictions along an axis."""

from __future__ import annotations

from densekit import ops
from densekit._core import settings
from densekit._core.registry import export
from densekit._core.types import ArrayLike, TensorLike
from densekit.losses._shapes import aligned
from densekit.metrics._reduction import FunctionMean


@export("keras.metrics")
def pearson_correlation(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> TensorLike:
    """``cov(y_true, y_pred) / (std(y_true) * std(y_pred))`` along `axis`.

    Args:
        y_true: targets ``(batch, ..., n)``.
        y_pred: predictions of the same shape.
        axis: axis of the values that are compared. Default: ``-1``, within a sample.

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    Example:

    >>> import densekit as keras
    >>> values = keras.metrics.pearson_correlation([[0.0, 1.0, 2.0]], [[0.0, 2.0, 4.0]])
    >>> [round(float(value), 4) for value in values]
    [1.0]
    """
    y_true, y_pred = aligned(y_true, y_pred, "pearson_correlation")
    a = y_true - ops.mean(y_true, axis=axis, keepdims=True)
    b = y_pred - ops.mean(y_pred, axis=axis, keepdims=True)
    a = a / ops.std(a, axis=axis, keepdims=True)
    b = b / ops.std(b, axis=axis, keepdims=True)
    return ops.mean(a * b, axis=axis)


@export("keras.metrics")
class PearsonCorrelation(FunctionMean):
    """The mean over samples of the correlation of targets and predictions along `axis`.

    Args:
        name: name of the metric. Default: ``"pearson_correlation"``.
        dtype: type of the state and the result. Default: `floatx`.
        axis: axis of the values that are compared. Default: ``-1``, within a sample.

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    Example:

    >>> import densekit as keras
    >>> metric = keras.metrics.PearsonCorrelation()
    >>> round(float(metric([[0.0, 1.0, 2.0]], [[0.0, 2.0, 4.0]])), 4)
    1.0
    """

    _direction = "up"
    axis: int

    def __init__(
        self, name: str = "pearson_correlation", dtype: object = None, axis: int = -1
    ) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=axis)


@export("keras.metrics")
def concordance_correlation(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> TensorLike:
    """How well targets and predictions agree along `axis`.

    ``2 * cov(y_true, y_pred) / (var(y_true) + var(y_pred) + d ** 2)``, ``d`` being the difference
    of the means.

    Args:
        y_true: targets ``(batch, ..., n)``.
        y_pred: predictions of the same shape.
        axis: axis of the values that are compared. Default: ``-1``, within a sample.

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    Example:

    >>> import densekit as keras
    >>> values = keras.metrics.concordance_correlation([[0.0, 1.0, 2.0]], [[0.0, 1.0, 2.0]])
    >>> [round(float(value), 4) for value in values]
    [1.0]

    Lin, "A concordance correlation coefficient to evaluate reproducibility", Biometrics 45, 1989.
    """
    y_true, y_pred = aligned(y_true, y_pred, "concordance_correlation")
    mean_true = ops.mean(y_true, axis=axis, keepdims=True)
    mean_pred = ops.mean(y_pred, axis=axis, keepdims=True)
    spread = ops.var(y_true, axis=axis, keepdims=True) + ops.var(y_pred, axis=axis, keepdims=True)
    spread = spread + ops.square(mean_true - mean_pred) + settings.epsilon()
    return ops.mean(2 * (y_true - mean_true) * (y_pred - mean_pred) / spread, axis=axis)


@export("keras.metrics")
class ConcordanceCorrelation(FunctionMean):
    """The mean over samples of how well targets and predictions agree along `axis`.

    Args:
        name: name of the metric. Default: ``"concordance_correlation"``.
        dtype: type of the state and the result. Default: `floatx`.
        axis: axis of the values that are compared. Default: ``-1``, within a sample.

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    Example:

    >>> import densekit as keras
    >>> metric = keras.metrics.ConcordanceCorrelation()
    >>> round(float(metric([[0.0, 1.0, 2.0]], [[0.0, 1.0, 2.0]])), 4)
    1.0
    """

    _direction = "up"
    axis: int

    def __init__(
        self, name: str = "concordance_correlation", dtype: object = None, axis: int = -1
    ) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=axis)
