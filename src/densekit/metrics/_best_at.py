"""The best of two shares of the confusion matrix at a limit of the other."""

from __future__ import annotations

from densekit._core.registry import export
from densekit.metrics._confusion import BestAt


@export("keras.metrics")
class SensitivityAtSpecificity(BestAt):
    """The best sensitivity among the thresholds at which specificity is at least `specificity`.

    Args:
        specificity: least specificity, in ``[0, 1]``.
        num_thresholds: number of evenly spaced thresholds, > 0. Default: ``200``.
        class_id: the one class, an index of the last axis, that is counted. Default: ``None``.
        name: name of the metric. Default: numbered ``sensitivity_at_specificity``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: for an argument out of range or shapes that do not fit.

    Example:

    >>> import densekit as keras
    >>> metric = keras.metrics.SensitivityAtSpecificity(0.5)
    >>> round(float(metric([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])), 4)
    0.5
    """

    _dk_argument = "specificity"
    _dk_held = ("true_negatives", "false_positives")
    _dk_best = ("true_positives", "false_negatives")

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: object = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)


@export("keras.metrics")
class SpecificityAtSensitivity(BestAt):
    """The best specificity among the thresholds at which sensitivity is at least `sensitivity`.

    Args:
        sensitivity: least sensitivity, in ``[0, 1]``.
        num_thresholds: number of evenly spaced thresholds, > 0. Default: ``200``.
        class_id: the one class, an index of the last axis, that is counted. Default: ``None``.
        name: name of the metric. Default: numbered ``specificity_at_sensitivity``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: for an argument out of range or shapes that do not fit.

    Example:

    >>> import densekit as keras
    >>> metric = keras.metrics.SpecificityAtSensitivity(0.5)
    >>> round(float(metric([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])), 4)
    0.6667
    """

    _dk_argument = "sensitivity"
    _dk_held = ("true_positives", "false_negatives")
    _dk_best = ("true_negatives", "false_positives")

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: object = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)


@export("keras.metrics")
class PrecisionAtRecall(BestAt):
    """The best precision among the thresholds at which recall is at least `recall`.

    Args:
        recall: least recall, in ``[0, 1]``.
        num_thresholds: number of evenly spaced thresholds, > 0. Default: ``200``.
        class_id: the one class, an index of the last axis, that is counted. Default: ``None``.
        name: name of the metric. Default: numbered ``precision_at_recall``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: for an argument out of range or shapes that do not fit.

    Example:

    >>> import densekit as keras
    >>> metric = keras.metrics.PrecisionAtRecall(0.5)
    >>> round(float(metric([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])), 4)
    0.5
    """

    _dk_argument = "recall"
    _dk_held = ("true_positives", "false_negatives")
    _dk_best = ("true_positives", "false_positives")

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: object = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)


@export("keras.metrics")
class RecallAtPrecision(BestAt):
    """The best recall among the thresholds at which precision is at least `precision`.

    Args:
        precision: least precision, in ``[0, 1]``.
        num_thresholds: number of evenly spaced thresholds, > 0. Default: ``200``.
        class_id: the one class, an index of the last axis, that is counted. Default: ``None``.
        name: name of the metric. Default: numbered ``recall_at_precision``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: for an argument out of range or shapes that do not fit.

    Example:

    >>> import densekit as keras
    >>> metric = keras.metrics.RecallAtPrecision(0.5)
    >>> round(float(metric([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])), 4)
    1.0
    """

    _dk_argument = "precision"
    _dk_held = ("true_positives", "false_positives")
    _dk_best = ("true_positives", "false_negatives")

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: object = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)
