"""How many answers are right in a plain batch: the sum of what an accuracy gives for its rows."""

from __future__ import annotations

import numpy as np

from densekit._core.types import Array


def of_classes(y_true: Array, y_pred: Array) -> int | None:
    """Rows whose largest prediction is at the label."""
    rows = len(y_pred)
    if y_true.dtype.kind not in "iu" or y_true.shape not in ((rows,), (rows, 1)):
        return None
    labels = y_true.astype(np.int32, copy=False).reshape(rows)
    return int(np.count_nonzero(_classes(y_pred) == labels))


def of_one_hot(y_true: Array, y_pred: Array) -> int | None:
    """Rows whose largest prediction is at the largest target."""
    if y_true.dtype != y_pred.dtype or y_true.shape != y_pred.shape:
        return None
    return int(np.count_nonzero(_classes(y_pred) == _classes(y_true)))


def above_threshold(y_true: Array, y_pred: Array, threshold: object = 0.5) -> int | None:
    """Rows of one column that are above the threshold where the target is 1."""
    if y_true.shape != y_pred.shape or y_pred.shape[1] != 1 or y_true.dtype != y_pred.dtype:
        return None
    if type(threshold) not in (int, float):
        return None
    return int(np.count_nonzero(y_true == (y_pred > threshold)))


def _classes(scores: Array) -> Array:
    found: Array = scores.argmax(-1)
    return found
