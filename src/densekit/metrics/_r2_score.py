"""Coefficient of determination."""

from __future__ import annotations

import numpy as np

from densekit._core.errors import describe, message
from densekit._core.frames import warn
from densekit._core.registry import export
from densekit._core.types import Array, ArrayLike, Config, TensorLike
from densekit._core.variable import Variable
from densekit.losses._shapes import aligned
from densekit.metrics._counts import spread_weights
from densekit.metrics._metric import Metric, Result

_AGGREGATIONS = (None, "uniform_average", "variance_weighted_average")


@export("keras.metrics")
class R2Score(Metric):
    """``1 - sum((y_true - y_pred) ** 2) / sum((y_true - mean(y_true)) ** 2)`` of each output.

    The sums are gathered in float64: targets far from 0 do not spoil it.

    Args:
        class_aggregation: ``"uniform_average"`` for the mean of the outputs' scores,
            ``"variance_weighted_average"`` for their mean by variance, None for all of them.
            Default: ``"uniform_average"``.
        num_regressors: number of inputs, >= 0; above 0 gives the adjusted score
            ``1 - (1 - r2) * (n - 1) / (n - num_regressors - 1)``. Default: ``0``.
        name: name of the metric. Default: ``"r2_score"``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: for an illegal argument, or unless targets and predictions are
            ``(batch, outputs)``.

    Example:

    >>> import densekit as keras
    >>> float(keras.metrics.R2Score()([[1.0], [2.0], [3.0]], [[1.0], [2.0], [4.0]]))
    0.5
    """

    _direction = "up"
    _dk_rowwise = True
    _dk_of_numpy = True

    squared_sum: Variable
    sum: Variable
    total_mse: Variable
    count: Variable

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: object = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if class_aggregation not in _AGGREGATIONS:
            legal = f"`class_aggregation` one of {_AGGREGATIONS}"
            raise ValueError(
                message(self.name, legal, describe(class_aggregation), "Pass one of them.")
            )
        if num_regressors < 0:
            raise ValueError(
                message(
                    self.name, "`num_regressors` >= 0", describe(num_regressors), "Pass e.g. 0."
                )
            )
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.num_samples = self.add_variable((), "zeros", name="num_samples")
        self._built = False

    def _build(self, y_true: TensorLike, y_pred: TensorLike) -> None:
        if y_pred.ndim != 2:
            raise ValueError(
                message(
                    self.name,
                    "targets and predictions of shape (batch, outputs)",
                    f"shapes {y_true.shape} and {y_pred.shape}",
                    "Reshape them.",
                )
            )
        shape = (y_pred.shape[1],)
        self.squared_sum = self.add_variable(shape, "zeros", name="squared_sum")
        self.sum = self.add_variable(shape, "zeros", name="sum")
        self.total_mse = self.add_variable(shape, "zeros", name="residual")
        self.count = self.add_variable(shape, "zeros", name="count")
        self._built = True

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add targets and predictions of shape ``(batch, outputs)``."""
        true, pred = (np.asarray(a, np.float64) for a in aligned(y_true, y_pred, self.name))
        if not self._built:
            self._build(true, pred)
        weight: float | Array = 1.0
        if sample_weight is not None:
            weight = spread_weights(self.name, sample_weight, true.shape)
        for variable, values in (
            (self.sum, true),
            (self.squared_sum, true**2),
            (self.total_mse, (true - pred) ** 2),
            (self.count, np.ones(true.shape)),
        ):
            self._dk_add(variable, np.sum(values * weight, axis=0))
        self._dk_add(self.num_samples, true.size)

    def result(self) -> Result:
        """The score, or one for each output."""
        if not self._built:
            return self._dk_rounded(0.0)
        total_sum, squares, residual, count = (
            np.asarray(self._dk_sum(v), np.float64)
            for v in (self.sum, self.squared_sum, self.total_mse, self.count)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            total = squares - total_sum * (total_sum / count)
            scores = 1 - residual / total
            scores = np.where(np.isinf(scores), 0.0, scores)
            if self.class_aggregation == "uniform_average":
                score: Array | np.floating = np.mean(scores)
            elif self.class_aggregation == "variance_weighted_average":
                score = np.sum(total * scores) / np.sum(total)
            else:
                score = scores
        return self._dk_rounded(self._dk_adjusted(score))

    def _dk_adjusted(self, score: Array | np.floating) -> Array | np.floating:
        if self.num_regressors == 0:
            return score
        samples = float(self._dk_sum(self.num_samples))
        if self.num_regressors >= samples - 1:
            warn(
                f"{self.name}: {self.num_regressors} regressors need more than "
                f"{self.num_regressors + 1} samples, got {samples:.0f}. Not adjusted."
            )
            return score
        return 1 - (1 - score) * (samples - 1) / (samples - self.num_regressors - 1)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "class_aggregation": self.class_aggregation,
            "num_regressors": self.num_regressors,
        }
