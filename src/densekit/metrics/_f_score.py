"""Harmonic means of precision and recall."""

from __future__ import annotations

import numpy as np

from densekit._core import settings
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import Array, ArrayLike, Config, TensorLike
from densekit._core.variable import Variable
from densekit.losses._shapes import aligned
from densekit.metrics._counts import spread_weights
from densekit.metrics._metric import Metric, Result


@export("keras.metrics")
class FBetaScore(Metric):
    """``(1 + beta ** 2) * precision * recall / (beta ** 2 * precision + recall)``, for each class.

    Args:
        average: ``None`` for one score a class, ``"macro"`` for their mean, ``"weighted"`` for
            their mean by the number of targets, ``"micro"`` for the score of all classes together.
            Default: ``None``.
        beta: weight of recall against precision, > 0. Default: ``1.0``.
        threshold: least prediction, excluded, that counts as positive, in ``(0, 1]``. Default:
            ``None``, the largest prediction of each row.
        name: name of the metric. Default: ``"fbeta_score"``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: for an illegal argument, or unless targets and predictions are
            ``(batch, classes)``.

    Example:

    >>> import densekit as keras
    >>> metric = keras.metrics.FBetaScore(beta=2.0, threshold=0.5, average="micro")
    >>> round(float(metric([[1, 1], [1, 0]], [[0.2, 0.6], [0.9, 0.8]])), 4)
    0.6667
    """

    _direction = "up"
    _dk_rowwise = True
    _dk_of_numpy = True

    true_positives: Variable
    false_positives: Variable
    false_negatives: Variable
    intermediate_weights: Variable

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: object = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        for argument, value, legal, test in (
            (
                "average",
                average,
                "None, 'micro', 'macro' or 'weighted'",
                average in (None, "micro", "macro", "weighted"),
            ),
            ("beta", beta, "a float > 0", isinstance(beta, float) and beta > 0),
            (
                "threshold",
                threshold,
                "None or a float in (0, 1]",
                threshold is None or (isinstance(threshold, float) and 0 < threshold <= 1),
            ),
        ):
            if not test:
                raise ValueError(
                    message(
                        self.name, f"`{argument}` {legal}", describe(value), "Pass a legal one."
                    )
                )
        self.average = average
        self.beta = beta
        self.threshold = threshold

    def _build(self, y_true: TensorLike, y_pred: TensorLike) -> None:
        if y_pred.ndim != 2:
            raise ValueError(
                message(
                    self.name,
                    "targets and predictions of shape (batch, classes)",
                    f"shapes {y_true.shape} and {y_pred.shape}",
                    "Reshape them; labels need keras.utils.to_categorical.",
                )
            )
        shape = () if self.average == "micro" else (y_pred.shape[1],)
        self.true_positives = self.add_variable(shape, "zeros", self.dtype, name="true_positives")
        self.false_positives = self.add_variable(shape, "zeros", self.dtype, name="false_positives")
        self.false_negatives = self.add_variable(shape, "zeros", self.dtype, name="false_negatives")
        self.intermediate_weights = self.add_variable(
            shape, "zeros", self.dtype, name="intermediate_weights"
        )

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add targets 0 or 1 and predictions of shape ``(batch, classes)``."""
        true, pred = (np.asarray(a) for a in aligned(y_true, y_pred, self.name))
        if not self.variables:
            self._build(true, pred)
        if self.threshold is None:
            # A row of zeros has no largest prediction.
            largest = pred.max(axis=-1, keepdims=True)
            chosen = (pred >= largest) & (np.abs(pred) > 1e-9)
        else:
            chosen = pred > self.threshold
        truth, positive = true.astype(np.float64), chosen.astype(np.float64)
        if sample_weight is not None:
            weight = spread_weights(self.name, sample_weight, pred.shape)
            truth, positive = truth * weight, positive * weight
        axis = None if self.average == "micro" else 0
        hits = np.sum(truth, axis=axis, where=chosen)
        targets = np.sum(truth, axis=axis)
        self._dk_add(self.true_positives, hits)
        self._dk_add(self.false_positives, np.sum(positive, axis=axis) - hits)
        self._dk_add(self.false_negatives, targets - hits)
        self._dk_add(self.intermediate_weights, targets)

    def result(self) -> Result:
        """The score, or one for each class."""
        if not self.variables:
            return self._dk_rounded(0.0)
        tp, fp, fn, weights = (np.asarray(self._dk_sum(v), np.float64) for v in self.variables)
        epsilon = settings.epsilon()
        precision, recall = tp / (tp + fp + epsilon), tp / (tp + fn + epsilon)
        square = self.beta**2
        score: Array | np.floating
        score = (1 + square) * (precision * recall / (square * precision + recall + epsilon))
        if self.average == "weighted":
            score = np.sum(score * weights / (np.sum(weights) + epsilon))
        elif self.average is not None:
            score = np.mean(score)
        return self._dk_rounded(score)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "average": self.average,
            "beta": self.beta,
            "threshold": self.threshold,
        }


@export("keras.metrics")
class F1Score(FBetaScore):
    """``2 * precision * recall / (precision + recall)``, for each class.

    Args:
        average: as in `FBetaScore`. Default: ``None``.
        threshold: as in `FBetaScore`. Default: ``None``.
        name: name of the metric. Default: ``"f1_score"``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: as `FBetaScore`.

    Example:

    >>> import densekit as keras
    >>> metric = keras.metrics.F1Score(threshold=0.5)
    >>> [round(float(s), 4) for s in metric([[1, 1], [1, 0]], [[0.2, 0.6], [0.9, 0.8]])]
    [0.6667, 0.6667]
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: object = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        config = super().get_config()
        del config["beta"]
        return config
