"""Metrics of the confusion matrix: counts, precision, recall, and the best of two at a limit."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import Array, ArrayLike, Config
from densekit._core.variable import Variable
from densekit.metrics._counts import (
    NEVER,
    Counts,
    Thresholds,
    claim_thresholds,
    count,
    parse_thresholds,
    ratio,
)
from densekit.metrics._metric import Metric, Result


class Counter(Metric):
    """Keeps some of the four counts as variables named after them."""

    _dk_rowwise = True
    _dk_of_numpy = True
    _dk_kept: ClassVar[tuple[str, ...]] = ()

    thresholds: list[float]
    top_k: int | None = None
    class_id: int | None = None

    def _dk_create(self, shape: tuple[int, ...]) -> None:
        for name in self._dk_kept:
            setattr(self, name, self.add_variable(shape, "zeros", name=name))

    def _dk_count(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None
    ) -> Counts:
        return count(
            self.name,
            y_true,
            y_pred,
            self.thresholds,
            sample_weight=sample_weight,
            top_k=self.top_k,
            class_id=self.class_id,
        )

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add targets 0 or 1 and predictions of shape ``(batch, ...)``."""
        counts = self._dk_count(y_true, y_pred, sample_weight)
        for name in self._dk_kept:
            self._dk_add(getattr(self, name), getattr(counts, name))

    def _dk_of(self, name: str) -> Array:
        return np.asarray(self._dk_sum(getattr(self, name)), np.float64)

    def _dk_shown(self, values: Array) -> Result:
        return self._dk_rounded(values[0] if len(self.thresholds) == 1 else values)


class _OneCount(Counter):
    """One of the four counts, at each threshold."""

    accumulator: Variable

    def __init__(
        self, thresholds: Thresholds = None, name: str | None = None, dtype: object = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        self.thresholds = parse_thresholds(self.name, thresholds)
        self.accumulator = self.add_variable((len(self.thresholds),), "zeros", name="accumulator")

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add targets 0 or 1 and predictions of shape ``(batch, ...)``."""
        counts = self._dk_count(y_true, y_pred, sample_weight)
        self._dk_add(self.accumulator, getattr(counts, self._dk_kept[0]))

    def result(self) -> Result:
        """The count, or one for each threshold."""
        return self._dk_shown(self._dk_of("accumulator"))

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "thresholds": self.init_thresholds}


@export("keras.metrics")
class TruePositives(_OneCount):
    """The weight of positive targets with a prediction above the threshold.

    Args:
        thresholds: number or list of numbers in ``[0, 1]``. Default: ``None``, 0.5.
        name: name of the metric. Default: numbered ``true_positives``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: for a threshold outside ``[0, 1]`` or shapes that do not fit.

    Example:

    >>> import densekit as keras
    >>> float(keras.metrics.TruePositives()([0, 1, 1], [0.9, 0.8, 0.2]))
    1.0
    """

    _dk_kept = ("true_positives",)


@export("keras.metrics")
class TrueNegatives(_OneCount):
    """The weight of negative targets with a prediction not above the threshold.

    Args:
        thresholds: number or list of numbers in ``[0, 1]``. Default: ``None``, 0.5.
        name: name of the metric. Default: numbered ``true_negatives``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: for a threshold outside ``[0, 1]`` or shapes that do not fit.

    Example:

    >>> import densekit as keras
    >>> float(keras.metrics.TrueNegatives()([0, 0, 1], [0.9, 0.2, 0.2]))
    1.0
    """

    _dk_kept = ("true_negatives",)


@export("keras.metrics")
class FalsePositives(_OneCount):
    """The weight of negative targets with a prediction above the threshold.

    Args:
        thresholds: number or list of numbers in ``[0, 1]``. Default: ``None``, 0.5.
        name: name of the metric. Default: numbered ``false_positives``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: for a threshold outside ``[0, 1]`` or shapes that do not fit.

    Example:

    >>> import densekit as keras
    >>> float(keras.metrics.FalsePositives()([0, 1, 1], [0.9, 0.8, 0.2]))
    1.0
    """

    _dk_kept = ("false_positives",)


@export("keras.metrics")
class FalseNegatives(_OneCount):
    """The weight of positive targets with a prediction not above the threshold.

    Args:
        thresholds: number or list of numbers in ``[0, 1]``. Default: ``None``, 0.5.
        name: name of the metric. Default: numbered ``false_negatives``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: for a threshold outside ``[0, 1]`` or shapes that do not fit.

    Example:

    >>> import densekit as keras
    >>> float(keras.metrics.FalseNegatives()([0, 1, 1], [0.9, 0.8, 0.2]))
    1.0
    """

    _dk_kept = ("false_negatives",)


class _Share(Counter):
    """True positives as a share of themselves and one more count."""

    _direction = "up"

    def __init__(
        self,
        thresholds: Thresholds = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: object = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        self.top_k = top_k
        self.class_id = class_id
        self.thresholds = parse_thresholds(self.name, thresholds, 0.5 if top_k is None else NEVER)
        self._dk_create((len(self.thresholds),))

    def result(self) -> Result:
        """The share, or one for each threshold; 0 where there is nothing to share."""
        first, second = self._dk_kept
        return self._dk_shown(ratio(self._dk_of(first), self._dk_of(second)))

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "thresholds": self.init_thresholds,
            "top_k": self.top_k,
            "class_id": self.class_id,
        }


@export("keras.metrics")
class Precision(_Share):
    """Share of the positive predictions whose target is positive: ``tp / (tp + fp)``.

    Args:
        thresholds: number or list of numbers in ``[0, 1]``. Default: ``None``, 0.5.
        top_k: whether the `top_k` largest predictions of a row are the positive ones. Default:
            ``None``, all above the threshold.
        class_id: the one class, an index of the last axis, that is counted. Default: ``None``.
        name: name of the metric. Default: numbered ``precision``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: for a threshold outside ``[0, 1]`` or shapes that do not fit.

    Example:

    >>> import densekit as keras
    >>> float(keras.metrics.Precision()([0, 1, 1, 1], [0.9, 0.8, 0.2, 0.1]))
    0.5
    """

    _dk_kept = ("true_positives", "false_positives")


@export("keras.metrics")
class Recall(_Share):
    """Share of the positive targets whose prediction is positive: ``tp / (tp + fn)``.

    Args:
        thresholds: number or list of numbers in ``[0, 1]``. Default: ``None``, 0.5.
        top_k: whether the `top_k` largest predictions of a row are the positive ones. Default:
            ``None``, all above the threshold.
        class_id: the one class, an index of the last axis, that is counted. Default: ``None``.
        name: name of the metric. Default: numbered ``recall``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: for a threshold outside ``[0, 1]`` or shapes that do not fit.

    Example:

    >>> import densekit as keras
    >>> float(keras.metrics.Recall()([0, 1, 1, 1, 1], [0.9, 0.8, 0.2, 0.1, 0.3]))
    0.25
    """

    _dk_kept = ("true_positives", "false_negatives")


ALL_COUNTS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


class BestAt(Counter):
    """The best of one share among the thresholds at which another reaches a value."""

    _direction = "up"
    _dk_kept = ALL_COUNTS
    _dk_argument: ClassVar[str] = ""
    _dk_held: ClassVar[tuple[str, str]] = ("", "")
    _dk_best: ClassVar[tuple[str, str]] = ("", "")

    def __init__(
        self,
        value: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: object = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if not 0 <= value <= 1:
            raise ValueError(
                message(
                    self.name, f"`{self._dk_argument}` in [0, 1]", describe(value), "Pass e.g. 0.5."
                )
            )
        if num_thresholds <= 0:
            raise ValueError(
                message(
                    self.name, "`num_thresholds` > 0", describe(num_thresholds), "Pass e.g. 200."
                )
            )
        claim_thresholds(self.name, num_thresholds)
        setattr(self, self._dk_argument, value)
        self.num_thresholds = num_thresholds
        self.class_id = class_id
        single = num_thresholds == 1
        self.thresholds = [0.5] if single else np.linspace(0.0, 1.0, num_thresholds).tolist()
        self._dk_create((len(self.thresholds),))

    @property
    def value(self) -> float:
        """What the other share has to reach: the attribute that the class names."""
        return getattr(self, self._dk_argument)  # type: ignore[no-any-return]

    @value.setter
    def value(self, value: float) -> None:
        setattr(self, self._dk_argument, value)

    def result(self) -> Result:
        """The best share, 0 if no threshold reaches the value."""
        held = ratio(self._dk_of(self._dk_held[0]), self._dk_of(self._dk_held[1]))
        best = ratio(self._dk_of(self._dk_best[0]), self._dk_of(self._dk_best[1]))
        # Compared as the variables show them: a share of exactly `value` has to count.
        reached = held.astype(np.float32) >= np.float32(self.value)
        return self._dk_rounded(np.max(np.where(reached, best, 0.0)))

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "class_id": self.class_id,
            "num_thresholds": self.num_thresholds,
            self._dk_argument: self.value,
        }
