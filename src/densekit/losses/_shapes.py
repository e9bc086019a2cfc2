"""Which shapes of targets and predictions belong together. Nothing here broadcasts."""

from __future__ import annotations

from typing import Any

import numpy as np

from densekit import ops
from densekit._core.dtypes import is_float_dtype
from densekit._core.errors import message
from densekit._core.settings import floatx
from densekit._core.tensor import Tensor, lend
from densekit._core.types import ArrayLike, PartialShape, TensorLike

_ARRAYS = frozenset({np.ndarray, Tensor})


def same_rank(a: TensorLike, b: TensorLike) -> tuple[TensorLike, TensorLike]:
    """Give two arrays one rank where they differ by a last axis of size 1.

    ``(n,)`` becomes ``(n, 1)``; above rank 1 the longer one loses that axis. Other shapes come back
    as they are.
    """
    rank_a, rank_b = len(a.shape), len(b.shape)
    if rank_a == rank_b + 1 and a.shape[-1] == 1:
        return (a, ops.expand_dims(b, -1)) if rank_b == 1 else (ops.squeeze(a, -1), b)
    if rank_b == rank_a + 1 and b.shape[-1] == 1:
        return (ops.expand_dims(a, -1), b) if rank_a == 1 else (a, ops.squeeze(b, -1))
    return a, b


def same_shape(a: PartialShape, b: PartialShape) -> bool:
    """Whether two shapes agree; None, in a symbolic one, agrees with everything."""
    return len(a) == len(b) and all(
        m == n or m is None or n is None for m, n in zip(a, b, strict=True)
    )


def as_float(x: ArrayLike) -> TensorLike:
    """An array of a floating-point type: integers become `floatx`."""
    x = ops.convert_to_tensor(lend(x))
    return x if is_float_dtype(x.dtype) else ops.cast(x, floatx())


def aligned(y_true: Any, y_pred: Any, loss: str) -> tuple[TensorLike, TensorLike]:
    """Targets and predictions as arrays of one type and shape, or an error with its remedy."""
    if (
        type(y_true) in _ARRAYS
        and type(y_pred) in _ARRAYS
        and y_true.dtype is y_pred.dtype
        and y_pred.dtype.kind == "f"
        and y_true.shape == y_pred.shape
    ):
        return lend(y_true), lend(y_pred)
    y_pred = as_float(y_pred)
    y_true = ops.convert_to_tensor(lend(y_true), dtype=y_pred.dtype)
    y_true, y_pred = same_rank(y_true, y_pred)
    if not same_shape(y_true.shape, y_pred.shape):
        raise ValueError(shape_error(loss, tuple(y_true.shape), tuple(y_pred.shape)))
    return y_true, y_pred


def shape_error(loss: str, true: PartialShape, pred: PartialShape) -> str:
    """The error text for targets of a shape that predictions do not have."""
    if loss.startswith("categorical") and pred and same_shape(_without_column(true), pred[:-1]):
        action = (
            "Integer labels need the loss 'sparse_categorical_crossentropy', or "
            "keras.utils.to_categorical(y_true)."
        )
    elif len(pred) > 1 and same_shape(_without_column(true), pred[:-1]):
        action = f"Give y_true {pred[-1]} columns, or the last layer 1 unit."
    else:
        action = "Give y_true the shape of the predictions; nothing is broadcast."
    return message(loss, f"y_true of the shape of y_pred, {pred}", f"{true}", action)


def labels(y_true: Any, y_pred: TensorLike, loss: str) -> TensorLike:
    """Integer labels, one for each row of classes in `y_pred`."""
    y_true = ops.convert_to_tensor(lend(y_true))
    if len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    if not same_shape(y_true.shape, y_pred.shape[:-1]):
        raise ValueError(label_shape_error(loss, tuple(y_true.shape), tuple(y_pred.shape)))
    return ops.cast(y_true, "int32")


def label_shape_error(loss: str, true: PartialShape, pred: PartialShape) -> str:
    """The error text for labels of a shape that does not fit the predictions."""
    if same_shape(true, pred):
        action = (
            "One-hot targets need the loss 'categorical_crossentropy', or y_true.argmax(axis=-1)."
        )
    else:
        action = "Pass one integer label for each row of predictions."
    expected = f"y_true of shape {pred[:-1]} for y_pred of shape {pred}"
    return message(loss, expected, f"{true}", action)


def _without_column(shape: PartialShape) -> PartialShape:
    return shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape
