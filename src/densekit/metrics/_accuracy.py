"""Shares of right answers."""

from __future__ import annotations

from densekit import ops
from densekit._core import settings
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit.losses._shapes import aligned, labels
from densekit.metrics._reduction import FunctionMean
from densekit.metrics._right_answers import above_threshold, of_classes, of_one_hot
from densekit.metrics._samplewise import counted_by


def _as_numbers(holds: TensorLike) -> TensorLike:
    """1 where it holds, else 0."""
    numbers: TensorLike = ops.cast(holds, settings.floatx())
    return numbers


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> TensorLike:
    """1 where target and prediction are equal, else 0."""
    true, pred = aligned(y_true, y_pred, "accuracy")
    return _as_numbers(true == pred)


@export("keras.metrics")
class Accuracy(FunctionMean):
    """How often predictions equal targets: ``mean(y_true == y_pred)``.

    For class probabilities use `CategoricalAccuracy` or `SparseCategoricalAccuracy`; the string
    ``"accuracy"`` in `compile` chooses by the shapes.

    Args:
        name: name of the metric. Default: ``"accuracy"``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    Example:

    >>> import densekit as keras
    >>> float(keras.metrics.Accuracy()([1, 2, 3, 4], [0, 2, 3, 4]))
    0.75
    """

    _direction = "up"

    def __init__(self, name: str = "accuracy", dtype: object = None) -> None:
        super().__init__(accuracy, name, dtype)


@export("keras.metrics")
@counted_by(above_threshold)
def binary_accuracy(y_true: ArrayLike, y_pred: ArrayLike, threshold: float = 0.5) -> TensorLike:
    """1 where ``y_pred > threshold`` equals the target, else 0.

    Args:
        y_true: targets 0 or 1, ``(batch, ...)``.
        y_pred: predictions ``(batch, ...)``.
        threshold: least prediction, excluded, that counts as 1. Default: ``0.5``.

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    Example:

    >>> import densekit as keras
    >>> keras.metrics.binary_accuracy([1, 0, 1], [0.9, 0.8, 0.2]).tolist()
    [1.0, 0.0, 0.0]
    """
    true, pred = aligned(y_true, y_pred, "binary_accuracy")
    return _as_numbers(true == ops.cast(pred > threshold, true.dtype))


@export("keras.metrics")
class BinaryAccuracy(FunctionMean):
    """How often ``y_pred > threshold`` equals the target, over samples and outputs.

    Args:
        name: name of the metric. Default: ``"binary_accuracy"``.
        dtype: type of the state and the result. Default: `floatx`.
        threshold: least prediction, excluded, that counts as 1; 0 for logits. Default: ``0.5``.

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    Example:

    >>> import densekit as keras
    >>> metric = keras.metrics.BinaryAccuracy()
    >>> round(float(metric([1, 0, 1], [0.9, 0.8, 0.2])), 4)
    0.3333
    """

    _direction = "up"
    threshold: float

    def __init__(
        self, name: str = "binary_accuracy", dtype: object = None, threshold: float = 0.5
    ) -> None:
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


@export("keras.metrics")
@counted_by(of_one_hot)
def categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> TensorLike:
    """1 where the largest prediction of a row is at the largest target, else 0.

    Args:
        y_true: one-hot targets ``(batch, ..., classes)``.
        y_pred: predictions of the same shape.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> keras.metrics.categorical_accuracy([[0, 1], [1, 0]], [[0.2, 0.8], [0.1, 0.9]]).tolist()
    [1.0, 0.0]
    """
    true, pred = aligned(y_true, y_pred, "categorical_accuracy")
    return _as_numbers(ops.argmax(true, -1) == ops.argmax(pred, -1))


@export("keras.metrics")
class CategoricalAccuracy(FunctionMean):
    """How often the largest prediction is at the class of a one-hot target.

    Args:
        name: name of the metric. Default: ``"categorical_accuracy"``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> float(keras.metrics.CategoricalAccuracy()([[0, 1], [1, 0]], [[0.2, 0.8], [0.1, 0.9]]))
    0.5
    """

    _direction = "up"

    def __init__(self, name: str = "categorical_accuracy", dtype: object = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


@export("keras.metrics")
@counted_by(of_classes)
def sparse_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> TensorLike:
    """1 where the largest prediction of a row is at its label, else 0.

    Args:
        y_true: integer labels ``(batch, ...)`` or ``(batch, ..., 1)``.
        y_pred: predictions ``(batch, ..., classes)``.

    Raises:
        ValueError: if the shapes do not fit.

    Example:

    >>> import densekit as keras
    >>> keras.metrics.sparse_categorical_accuracy([1, 0], [[0.2, 0.8], [0.1, 0.9]]).tolist()
    [1.0, 0.0]
    """
    pred = ops.convert_to_tensor(y_pred)
    label = labels(y_true, pred, "sparse_categorical_accuracy")
    return _as_numbers(label == ops.argmax(pred, -1))


@export("keras.metrics")
class SparseCategoricalAccuracy(FunctionMean):
    """How often the largest prediction is at the integer label.

    Args:
        name: name of the metric. Default: ``"sparse_categorical_accuracy"``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: if the shapes do not fit.

    Example:

    >>> import densekit as keras
    >>> float(keras.metrics.SparseCategoricalAccuracy()([1, 0], [[0.2, 0.8], [0.1, 0.9]]))
    0.5
    """

    _direction = "up"

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: object = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


def _in_top_k(label: TensorLike, y_pred: TensorLike, k: int) -> TensorLike:
    """Whether fewer than `k` predictions of the row exceed that of the label.

    A label that is no class, and one whose prediction is NaN, never is.
    """
    classes = y_pred.shape[-1]
    known = ops.logical_and(label >= 0, label < classes)
    at_label = ops.take_along_axis(y_pred, ops.where(known, label, 0)[..., None], axis=-1)
    at_label = ops.where(at_label == at_label, at_label, -float("inf"))
    above = ops.sum(ops.cast(y_pred > at_label, "int32"), axis=-1)
    return ops.logical_and(known, above < k)


@export("keras.metrics")
def top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> TensorLike:
    """1 where the class of a one-hot target is among the `k` largest predictions, else 0.

    Args:
        y_true: one-hot targets ``(batch, ..., classes)``.
        y_pred: predictions of the same shape.
        k: how many predictions count, >= 1. Default: ``5``.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> y_pred = [[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]
    >>> keras.metrics.top_k_categorical_accuracy([[0, 1, 0], [0, 0, 1]], y_pred, k=2).tolist()
    [1.0, 0.0]
    """
    true, pred = aligned(y_true, y_pred, "top_k_categorical_accuracy")
    return _as_numbers(_in_top_k(ops.argmax(true, -1), pred, k))


@export("keras.metrics")
class TopKCategoricalAccuracy(FunctionMean):
    """How often the class of a one-hot target is among the `k` largest predictions.

    Args:
        k: how many predictions count, >= 1. Default: ``5``.
        name: name of the metric. Default: ``"top_k_categorical_accuracy"``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> metric = keras.metrics.TopKCategoricalAccuracy(k=2)
    >>> float(metric([[0, 1, 0], [0, 0, 1]], [[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]))
    0.5
    """

    _direction = "up"
    k: int

    def __init__(
        self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: object = None
    ) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


@export("keras.metrics")
def sparse_top_k_categorical_accuracy(
    y_true: ArrayLike, y_pred: ArrayLike, k: int = 5, from_sorted_ids: bool = False
) -> TensorLike:
    """1 where the label is among the `k` largest predictions, else 0.

    Args:
        y_true: integer labels ``(batch, ...)`` or ``(batch, ..., 1)``.
        y_pred: predictions ``(batch, ..., classes)``, or with `from_sorted_ids` class ids, best
            first.
        k: how many predictions count, >= 1. Default: ``5``.
        from_sorted_ids: whether `y_pred` holds ids instead of predictions. Default: ``False``.

    Raises:
        ValueError: if the shapes do not fit.

    Example:

    >>> import densekit as keras
    >>> y_pred = [[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]
    >>> keras.metrics.sparse_top_k_categorical_accuracy([1, 2], y_pred, k=2).tolist()
    [1.0, 0.0]
    """
    predicted = ops.convert_to_tensor(y_pred)
    label = labels(y_true, predicted, "sparse_top_k_categorical_accuracy")
    if from_sorted_ids:
        matches = ops.any(label[..., None] == predicted[..., :k], axis=-1)
    else:
        matches = _in_top_k(label, predicted, k)
    return _as_numbers(matches)


@export("keras.metrics")
class SparseTopKCategoricalAccuracy(FunctionMean):
    """How often the label is among the `k` largest predictions.

    Args:
        k: how many predictions count, >= 1. Default: ``5``.
        name: name of the metric. Default: ``"sparse_top_k_categorical_accuracy"``.
        dtype: type of the state and the result. Default: `floatx`.
        from_sorted_ids: whether predictions are class ids, best first. Default: ``False``.

    Raises:
        ValueError: if the shapes do not fit.

    Example:

    >>> import densekit as keras
    >>> metric = keras.metrics.SparseTopKCategoricalAccuracy(k=2)
    >>> float(metric([1, 2], [[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]))
    0.5
    """

    _direction = "up"
    k: int
    from_sorted_ids: bool

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: object = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(
            sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids
        )

    def get_config(self) -> Config:
        """The constructor's arguments; `from_sorted_ids` only where it is True."""
        config = super().get_config()
        if not self.from_sorted_ids:
            del config["from_sorted_ids"]
        return config
