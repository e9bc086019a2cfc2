"""Errors of regressions, averaged over samples."""

from __future__ import annotations

from densekit import losses, ops
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit.losses._shapes import aligned
from densekit.metrics._metric import Result
from densekit.metrics._reduction import FunctionMean, Mean


@export("keras.metrics")
class MeanSquaredError(FunctionMean):
    """``mean((y_true - y_pred) ** 2)``.

    Args:
        name: name of the metric. Default: ``"mean_squared_error"``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    Example:

    >>> import densekit as keras
    >>> float(keras.metrics.MeanSquaredError()([[0.0], [2.0]], [[1.0], [5.0]]))
    5.0
    """

    _direction = "down"

    def __init__(self, name: str = "mean_squared_error", dtype: object = None) -> None:
        super().__init__(losses.mean_squared_error, name, dtype)


@export("keras.metrics")
class RootMeanSquaredError(Mean):
    """``sqrt(mean((y_true - y_pred) ** 2))``, the root being taken after the mean over all samples.

    Args:
        name: name of the metric. Default: ``"root_mean_squared_error"``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    Example:

    >>> import densekit as keras
    >>> float(keras.metrics.RootMeanSquaredError()([[0.0], [0.0]], [[1.0], [7.0]]))
    5.0
    """

    _direction = "down"

    def __init__(self, name: str = "root_mean_squared_error", dtype: object = None) -> None:
        super().__init__(name, dtype=dtype)

    def update_state(  # type: ignore[override]
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add targets and predictions of shape ``(batch, ...)``."""
        true, pred = aligned(y_true, y_pred, self.name)
        error = ops.cast(pred, self.dtype) - ops.cast(true, self.dtype)
        super().update_state(ops.square(error), sample_weight=sample_weight)

    def result(self) -> Result:
        """The root of the mean so far."""
        return ops.sqrt(super().result())


@export("keras.metrics")
class MeanAbsoluteError(FunctionMean):
    """``mean(|y_true - y_pred|)``.

    Args:
        name: name of the metric. Default: ``"mean_absolute_error"``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    Example:

    >>> import densekit as keras
    >>> float(keras.metrics.MeanAbsoluteError()([[0.0], [2.0]], [[1.0], [5.0]]))
    2.0
    """

    _direction = "down"

    def __init__(self, name: str = "mean_absolute_error", dtype: object = None) -> None:
        super().__init__(losses.mean_absolute_error, name, dtype)


@export("keras.metrics")
class MeanAbsolutePercentageError(FunctionMean):
    """``100 * mean(|y_true - y_pred| / max(|y_true|, epsilon))``.

    Args:
        name: name of the metric. Default: ``"mean_absolute_percentage_error"``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    Example:

    >>> import densekit as keras
    >>> round(float(keras.metrics.MeanAbsolutePercentageError()([[1.0], [2.0]], [[1.5], [2.5]])), 4)
    37.5
    """

    _direction = "down"

    def __init__(self, name: str = "mean_absolute_percentage_error", dtype: object = None) -> None:
        super().__init__(losses.mean_absolute_percentage_error, name, dtype)


@export("keras.metrics")
class MeanSquaredLogarithmicError(FunctionMean):
    """``mean((log(1 + y_true) - log(1 + y_pred)) ** 2)``, negative values counting as 0.

    Args:
        name: name of the metric. Default: ``"mean_squared_logarithmic_error"``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    Example:

    >>> import densekit as keras
    >>> round(float(keras.metrics.MeanSquaredLogarithmicError()([[0.0]], [[1.0]])), 4)
    0.4805
    """

    _direction = "down"

    def __init__(self, name: str = "mean_squared_logarithmic_error", dtype: object = None) -> None:
        super().__init__(losses.mean_squared_logarithmic_error, name, dtype)


@export("keras.metrics")
class LogCoshError(FunctionMean):
    """``mean(log(cosh(y_pred - y_true)))``: like the square near 0, like the magnitude far from it.

    Args:
        name: name of the metric. Default: ``"logcosh"``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    Example:

    >>> import densekit as keras
    >>> round(float(keras.metrics.LogCoshError()([[0.0]], [[1.0]])), 4)
    0.4338
    """

    _direction = "down"

    def __init__(self, name: str = "logcosh", dtype: object = None) -> None:
        super().__init__(losses.log_cosh, name, dtype)


def cosine_similarity(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> TensorLike:
    """The cosine of the angle between targets and predictions; the loss is its negative."""
    distance: TensorLike = losses.cosine_similarity(y_true, y_pred, axis=axis)
    return -distance


@export("keras.metrics")
class CosineSimilarity(FunctionMean):
    """The mean cosine of the angle between targets and predictions.

    Args:
        name: name of the metric. Default: ``"cosine_similarity"``.
        dtype: type of the state and the result. Default: `floatx`.
        axis: axis along which the vectors run. Default: ``-1``.

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    Example:

    >>> import densekit as keras
    >>> float(keras.metrics.CosineSimilarity()([[0.0, 1.0]], [[0.0, 2.0]]))
    1.0
    """

    _direction = "up"
    axis: int

    def __init__(
        self, name: str = "cosine_similarity", dtype: object = None, axis: int = -1
    ) -> None:
        super().__init__(cosine_similarity, name, dtype, axis=axis)

    def get_config(self) -> Config:
        """The constructor's arguments; Keras leaves `axis` out, here it is there if not -1."""
        config = super().get_config()
        if self.axis == -1:
            del config["axis"]
        return config
