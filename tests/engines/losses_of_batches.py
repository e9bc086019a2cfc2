"""Losses that compare the rows of a batch, as users write them."""

from __future__ import annotations

from typing import Any

from densekit import losses, ops


def same_class(y_true: Any) -> Any:
    column = ops.reshape(y_true, (-1, 1))
    return ops.equal(column, ops.transpose(column))


def similarities(y_pred: Any) -> Any:
    unit = ops.normalize(y_pred, axis=1)
    return ops.matmul(unit, ops.transpose(unit))


def contrastive(y_true: Any, y_pred: Any) -> Any:
    alike = ops.cast(same_class(ops.cast(y_true, "int32")), y_pred.dtype)
    return ops.mean(ops.square(similarities(y_pred) - alike), axis=1)


def nt_xent(y_true: Any, y_pred: Any) -> Any:
    rows = y_pred.shape[0]
    logits = 2.0 * similarities(y_pred) - 1e9 * ops.eye(rows)
    others = ops.roll(ops.arange(rows), rows // 2)
    return losses.sparse_categorical_crossentropy(others, logits, from_logits=True)


def hardest_triplet(y_true: Any, y_pred: Any) -> Any:
    squares = ops.sum(ops.square(y_pred), axis=1, keepdims=True)
    products = ops.matmul(y_pred, ops.transpose(y_pred))
    distances = ops.sqrt(ops.maximum(squares - 2 * products + ops.transpose(squares), 1e-3))
    alike = same_class(y_true)
    far = ops.max(ops.where(alike, distances, 0.0), axis=1)
    near = ops.min(ops.where(alike, 1e9, distances), axis=1)
    return ops.relu(far - near + 0.5)


def vicreg(y_true: Any, y_pred: Any) -> Any:
    centred = y_pred - ops.mean(y_pred, axis=0)
    covariance = ops.matmul(ops.transpose(centred), centred) / (y_pred.shape[0] - 1)
    off = covariance - ops.diag(ops.diagonal(covariance))
    spread = ops.sqrt(ops.var(y_pred, axis=0) + 1e-4)
    return ops.sum(ops.square(off)) + ops.mean(ops.relu(1 - spread))


def ranking(y_true: Any, y_pred: Any) -> Any:
    score, wanted = y_pred[:, 0], ops.cast(ops.reshape(y_true, (-1,)), y_pred.dtype)
    apart = ops.expand_dims(score, 1) - ops.expand_dims(score, 0)
    better = ops.expand_dims(wanted, 1) > ops.expand_dims(wanted, 0)
    return ops.sum(ops.where(better, ops.softplus(-apart), 0.0)) / y_pred.shape[0]


def neighbours(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.square(y_pred - ops.roll(y_pred, 1, axis=0)), axis=-1)


def in_order(y_true: Any, y_pred: Any) -> Any:
    score = y_pred[:, 0]
    places = ops.cast(ops.argsort(score), y_pred.dtype)
    return ops.mean(ops.square(ops.sort(score) - 0.1 * places))


def counted(y_true: Any, y_pred: Any) -> Any:
    found = ops.matmul(ops.transpose(ops.one_hot(y_true, 3)), ops.softmax(y_pred))
    return -ops.trace(found) / y_pred.shape[0]
