"""Area under a curve of the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from densekit import ops
from densekit._core import settings
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import Array, ArrayLike, Config
from densekit.metrics._confusion import ALL_COUNTS, Counter
from densekit.metrics._counts import (
    Counts,
    Thresholds,
    claim_thresholds,
    count,
    parse_thresholds,
    ratio,
)
from densekit.metrics._metric import Result

_CURVES = ("ROC", "PR", "PRGAIN")
_SUMMATIONS = ("interpolation", "minoring", "majoring")


@export("keras.metrics")
class AUC(Counter):
    """The area under a curve of two rates, summed over `num_thresholds` thresholds.

    ``ROC``: true positive rate ``tp / (tp + fn)`` over false positive rate ``fp / (fp + tn)``.
    ``PR``: precision ``tp / (tp + fp)`` over recall ``tp / (tp + fn)``. ``PRGAIN``: the two as
    gains over always saying yes.

    Args:
        num_thresholds: number of evenly spaced thresholds, > 1. Default: ``200``.
        curve: ``"ROC"``, ``"PR"`` or ``"PRGAIN"``. Default: ``"ROC"``.
        summation_method: height between two points: ``"interpolation"`` the middle (for PR the
            interpolation of the counts), ``"minoring"`` the lower, ``"majoring"`` the higher.
            Default: ``"interpolation"``.
        name: name of the metric. Default: numbered ``auc``.
        dtype: type of the state and the result. Default: `floatx`.
        thresholds: thresholds in ``[0, 1]`` to use instead; 0 and 1 are added. Default: ``None``.
        multi_label: whether to take the mean of an area for each entry of the last axis. Default:
            ``False``, all entries together.
        num_labels: size of the last axis with `multi_label`. Default: ``None``, that of the first
            batch.
        label_weights: weight of each entry of the last axis. Default: ``None``.
        from_logits: whether predictions are logits. Default: ``False``.

    Raises:
        ValueError: for an illegal argument or shapes that do not fit.

    Example:

    >>> import densekit as keras
    >>> round(float(keras.metrics.AUC()([0, 0, 1, 1], [0.1, 0.5, 0.3, 0.9])), 4)
    0.75

    Davis and Goadrich, "The relationship between precision-recall and ROC curves", ICML 2006;
    gains: Flach and Kull, "Precision-recall-gain curves", NIPS 2015.
    """

    _direction = "up"
    _dk_kept = ALL_COUNTS

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: object = None,
        thresholds: Thresholds = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | Array | None = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.curve = _one_of(self.name, "curve", curve, _CURVES)
        self.summation_method = _one_of(
            self.name, "summation_method", summation_method, _SUMMATIONS
        )
        self.init_thresholds = thresholds
        if thresholds is None:
            if num_thresholds <= 1:
                raise ValueError(
                    message(
                        self.name,
                        "`num_thresholds` > 1",
                        describe(num_thresholds),
                        "Pass e.g. 200.",
                    )
                )
            claim_thresholds(self.name, num_thresholds)
            inner = np.linspace(0.0, 1.0, num_thresholds)[1:-1].tolist()
        else:
            inner = sorted(parse_thresholds(self.name, thresholds))
        # The ends lie outside [0, 1], so that every prediction is above the first and none above
        # the last.
        self.thresholds = [-settings.epsilon(), *inner, 1.0 + settings.epsilon()]
        self.num_thresholds = len(self.thresholds)
        if num_labels and not multi_label:
            raise ValueError(
                message(
                    self.name,
                    "`num_labels` only beside `multi_label=True`",
                    describe(num_labels),
                    "Leave it at None.",
                )
            )
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = None if label_weights is None else [float(w) for w in label_weights]
        self.from_logits = from_logits
        if not multi_label:
            self._dk_create((self.num_thresholds,))
        elif num_labels:
            self._dk_create((self.num_thresholds, num_labels))

    def _dk_count(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None
    ) -> Counts:
        predictions = np.asarray(y_pred)
        if self.multi_label and not self.variables:
            if predictions.ndim != 2:
                raise ValueError(
                    message(
                        self.name,
                        "predictions of shape (batch, labels) with `multi_label`",
                        f"shape {predictions.shape}",
                        "Reshape them, or leave `multi_label` out.",
                    )
                )
            self._dk_create((self.num_thresholds, predictions.shape[1]))
        return count(
            self.name,
            y_true,
            ops.sigmoid(predictions) if self.from_logits else predictions,
            self.thresholds,
            sample_weight=sample_weight,
            per_label=self.multi_label,
            label_weights=None if self.multi_label else self.label_weights,
        )

    def result(self) -> Result:
        """The area; with `multi_label` the mean of the areas by `label_weights`."""
        if not self.variables:
            return self._dk_rounded(0.0)
        tp, fp, tn, fn = (self._dk_of(name) for name in ALL_COUNTS)
        if (self.curve, self.summation_method) == ("PR", "interpolation"):
            areas = _interpolated(tp, fp, fn).sum(axis=0)
        else:
            x, y = self._dk_points(tp, fp, tn, fn)
            if self.summation_method == "interpolation":
                heights = (y[:-1] + y[1:]) / 2
            else:
                pick = np.minimum if self.summation_method == "minoring" else np.maximum
                heights = pick(y[:-1], y[1:])
            areas = ((x[:-1] - x[1:]) * heights).sum(axis=0)
        if not self.multi_label:
            return self._dk_rounded(areas)
        if self.label_weights is None:
            return self._dk_rounded(areas.mean())
        weights = np.asarray(self.label_weights)
        return self._dk_rounded(ops.divide_no_nan(np.sum(areas * weights), np.sum(weights)))

    def _dk_points(self, tp: Array, fp: Array, tn: Array, fn: Array) -> tuple[Array, Array]:
        """Abscissas and ordinates of the curve."""
        if self.curve == "ROC":
            return ratio(fp, tn), ratio(tp, fn)
        if self.curve == "PR":
            return ratio(tp, fn), ratio(tp, fp)
        odds = _divide(tp + fn, tn + fp)
        recall_gain = np.where(tp == 0, 0.0, 1.0 - odds * _divide(fn, tp))
        precision_gain = np.where(tp == 0, 1.0, 1.0 - odds * _divide(fp, tp))
        return np.maximum(recall_gain, 0.0), precision_gain

    def get_config(self) -> Config:
        """The constructor's arguments."""
        config = {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": self.label_weights,
            "from_logits": self.from_logits,
        }
        if self.init_thresholds is not None:
            config["thresholds"] = self.thresholds[1:-1]
        return config


def _one_of(where: str, name: str, value: object, legal: tuple[str, ...]) -> str:
    """The member of `legal` that a string spells, in any case."""
    for known in legal:
        if isinstance(value, str) and known.lower() == value.lower():
            return known
    raise ValueError(
        message(where, f"`{name}` one of {legal}", describe(value), "Pass one of them.")
    )


def _divide(a: Array, b: Array) -> Array:
    return np.divide(a, b, out=np.zeros(np.shape(b)), where=b != 0)


def _interpolated(tp: Array, fp: Array, fn: Array) -> Array:
    """Areas between thresholds of the PR curve, true positives being linear in all positives.

    Davis and Goadrich, section 4: between two points precision is ``(slope * p + intercept) / p``,
    whose integral over recall has a logarithm.
    """
    positives = tp + fp
    gained_tp = tp[:-1] - tp[1:]
    slope = _divide(gained_tp, np.maximum(positives[:-1] - positives[1:], 0))
    intercept = tp[1:] - slope * positives[1:]
    both = (positives[:-1] > 0) & (positives[1:] > 0)
    growth = np.where(both, _divide(positives[:-1], np.maximum(positives[1:], 0)), 1.0)
    return _divide(slope * (gained_tp + intercept * np.log(growth)), np.maximum(tp[1:] + fn[1:], 0))
