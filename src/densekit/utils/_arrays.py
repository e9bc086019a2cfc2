"""Labels to one-hot rows, rows to unit length."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from densekit import ops
from densekit._core import settings
from densekit._core.errors import message
from densekit._core.registry import export
from densekit._core.types import Array


@export("keras.utils")
def to_categorical(x: ArrayLike, num_classes: int | None = None) -> Array:
    """One-hot rows: ``y[..., c] = 1`` where ``x[...] == c``, else 0, in float64.

    Args:
        x: integer labels of shape ``(...)`` or ``(..., 1)``, 0 <= x < num_classes.
        num_classes: length of a row. Default: ``max(x) + 1``.

    Raises:
        IndexError: for a label outside of the range.
        ValueError: for no labels and no `num_classes`.

    Example:

    >>> import densekit as keras
    >>> keras.utils.to_categorical([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    labels = np.asarray(x).astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if not num_classes:
        if labels.size == 0:
            raise ValueError(
                message("to_categorical", "labels or `num_classes`", "neither", "Pass one.")
            )
        num_classes = int(labels.max()) + 1
    bad = (labels < 0) | (labels >= num_classes)
    if bad.any():
        raise IndexError(
            message(
                "to_categorical",
                f"labels from 0 to {num_classes - 1}",
                f"{labels[bad].ravel()[0]}",
                "Raise `num_classes` or renumber the classes.",
            )
        )
    rows = np.zeros((*labels.shape, num_classes))
    np.put_along_axis(rows, labels[..., None], 1.0, axis=-1)
    return rows


@export("keras.utils")
def normalize(x: ArrayLike, axis: int = -1, order: int = 2) -> Array:
    """``x / norm(x)`` along an axis; vectors of norm 0 stay 0.

    Args:
        x: an array; lists become one of ``floatx``.
        axis: along which the norm is taken. Default: ``-1``.
        order: of the norm. Default: ``2``, the Euclidean one.

    Example:

    >>> import densekit as keras
    >>> keras.utils.normalize([[3.0, 4.0]])
    array([[0.6, 0.8]], dtype=float32)
    """
    if not isinstance(x, np.ndarray):
        x = np.asarray(ops.convert_to_tensor(x, settings.floatx()))
    norm = np.linalg.norm(x, order, axis, keepdims=True)
    return np.asarray(x / np.where(norm == 0, 1, norm))
