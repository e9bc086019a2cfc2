"""True and false positives and negatives over many thresholds, by one histogram each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from densekit._core import settings
from densekit._core.allowance import claim
from densekit._core.errors import describe, message
from densekit._core.types import Array, ArrayLike
from densekit.losses._shapes import aligned
from densekit.metrics._samplewise import fits_weights

Thresholds: TypeAlias = float | Sequence[float] | Array | None

# Below every prediction that is among the top k, and not above itself.
NEVER = -1e10


class Counts(NamedTuple):
    """Weighted counts, ``(thresholds,)`` or ``(thresholds, labels)``."""

    true_positives: npt.NDArray[np.float64]
    false_positives: npt.NDArray[np.float64]
    true_negatives: npt.NDArray[np.float64]
    false_negatives: npt.NDArray[np.float64]


def parse_thresholds(where: str, thresholds: Thresholds, default: float = 0.5) -> list[float]:
    """One threshold or several as a list, each in ``[0, 1]``."""
    if thresholds is None:
        return [default]
    found = list(thresholds) if isinstance(thresholds, Sequence | np.ndarray) else [thresholds]
    if any(t is None or not 0 <= t <= 1 for t in found):
        raise ValueError(
            message(where, "thresholds in [0, 1]", describe(thresholds), "Change `thresholds`.")
        )
    return [float(t) for t in found]


def evenly_spaced(thresholds: Sequence[float]) -> bool:
    """Whether three or more thresholds divide ``[0, 1]`` into equal parts, up to `epsilon`."""
    if len(thresholds) < 3:
        return False
    even = np.linspace(0.0, 1.0, len(thresholds))
    return bool(np.allclose(thresholds, even, atol=settings.epsilon()))


def count(
    where: str,
    y_true: ArrayLike,
    y_pred: ArrayLike,
    thresholds: Sequence[float],
    *,
    sample_weight: ArrayLike | None = None,
    top_k: int | None = None,
    class_id: int | None = None,
    per_label: bool = False,
    label_weights: ArrayLike | None = None,
) -> Counts:
    """Counts of one batch; a prediction is positive if it is above the threshold.

    Args:
        where: name for errors.
        y_true: targets 0 or 1, ``(batch, ...)``.
        y_pred: predictions of the same shape; ``(batch,)`` and ``(batch, 1)`` go together.
        thresholds: numbers; evenly spaced ones are found by a multiplication instead of a search.
        sample_weight: one for each sample or for each prediction.
        top_k: whether only the `top_k` largest predictions of a row can be positive.
        class_id: the one class, an index of the last axis, that is counted.
        per_label: whether to count each entry of the last axis apart.
        label_weights: a weight for each entry of the last axis.
    """
    y_true, y_pred = (np.asarray(a) for a in aligned(y_true, y_pred, where))
    weight = None if sample_weight is None else spread_weights(where, sample_weight, y_pred.shape)
    if top_k is not None:
        y_pred = _only_top(y_pred, top_k)
    if class_id is not None:
        if y_pred.ndim < 2:
            raise ValueError(
                message(
                    where,
                    "predictions of shape (batch, classes) beside `class_id`",
                    f"shape {y_pred.shape}",
                    "Leave `class_id` at None.",
                )
            )
        chosen = np.s_[..., class_id : class_id + 1]
        y_true, y_pred = y_true[chosen], y_pred[chosen]
        weight = None if weight is None else weight[chosen]
    if label_weights is not None:
        of_label = np.broadcast_to(np.asarray(label_weights, np.float64), y_pred.shape)
        weight = of_label if weight is None else weight * of_label

    limits = np.asarray(thresholds, y_pred.dtype)
    order = np.argsort(limits, kind="stable")
    above = _number_exceeded(y_pred, limits[order], evenly_spaced(thresholds))
    positive = y_true.astype(bool)
    labels = y_pred.shape[-1] if per_label else 1
    slots = len(limits) + 1
    bins = above + slots * np.arange(labels) if per_label else above

    def tails(chosen: Array) -> npt.NDArray[np.float64]:
        """Weight of the chosen predictions above at least 0, 1, 2, ... thresholds."""
        weights = chosen if weight is None else np.where(chosen, weight, 0.0)
        histogram = np.bincount(bins.ravel(), weights.ravel(), slots * labels)
        histogram = histogram.reshape(labels, slots).T
        return histogram[::-1].cumsum(axis=0)[::-1]

    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    result = []
    for side in (tails(positive), tails(~positive)):
        over, rest = side[1:][back], side[0] - side[1:][back]
        result.append((over, rest) if per_label else (over[:, 0], rest[:, 0]))
    (tp, fn), (fp, tn) = result
    return Counts(tp, fp, tn, fn)


def _number_exceeded(y_pred: Array, limits: Array, even: bool) -> npt.NDArray[np.int64]:
    """For each prediction how many of the sorted `limits` are below it; NaN is above none."""
    nan = np.isnan(y_pred)
    if not even:
        above = np.searchsorted(limits, y_pred, side="left")
        return np.where(nan, 0, above)
    inside = np.clip(np.where(nan, 0, y_pred), 0, 1)
    above = np.ceil(inside * (len(limits) - 1)).astype(np.int64)
    if limits[0] < 0:  # ends moved outwards so that 0 is above the first
        above = np.maximum(above, 1)
    return np.where(nan, 0, above)


def spread_weights(
    where: str, sample_weight: object, shape: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    """Weights of the shape of the predictions."""
    weight = np.asarray(sample_weight, np.float64)
    if weight.shape == (*shape, 1):
        weight = weight[..., 0]
    if not fits_weights(weight.shape, shape):
        raise ValueError(
            message(
                where,
                f"`sample_weight` for predictions of shape {shape}",
                f"shape {weight.shape}",
                "Pass one weight for each sample.",
            )
        )
    return np.broadcast_to(weight.reshape(weight.shape + (1,) * (len(shape) - weight.ndim)), shape)


def _only_top(y_pred: Array, k: int) -> Array:
    """Predictions with all but the `k` largest of each row replaced by `NEVER`."""
    top = np.argsort(-y_pred, axis=-1, kind="stable")[..., :k]
    kept = np.full_like(y_pred, NEVER)
    np.put_along_axis(kept, top, np.take_along_axis(y_pred, top, -1), -1)
    return kept


def ratio(part: Array, rest: Array) -> Array:
    """``part / (part + rest)``, 0 where both are 0."""
    total = np.asarray(part + rest)
    share: Array = np.divide(part, total, out=np.zeros(total.shape), where=total != 0)
    return share


def claim_thresholds(where: str, number: int) -> None:
    """Ask for a list of so many floats, which a file may want."""
    claim(_FLOAT_BYTES * number, where, f"{number} thresholds")


_FLOAT_BYTES = 40  # an element of the array, of the list, and the float itself
