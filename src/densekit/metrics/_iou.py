"""Intersection over union, from a confusion matrix summed over all batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from densekit._core import settings
from densekit._core.allowance import claim
from densekit._core.dtypes import is_float_dtype, to_numpy_dtype
from densekit._core.errors import describe, message
from densekit._core.frames import warn
from densekit._core.registry import export
from densekit._core.types import Array, ArrayLike, Config
from densekit.metrics._counts import spread_weights
from densekit.metrics._metric import Metric, Result

_CELL_BYTES = 16  # an element of the matrix, and of the exact sums beside it


@export("keras.metrics")
class IoU(Metric):
    """Intersection over union of targets and predictions, its mean over some classes.

    Formula: ``tp / (tp + fp + fn)`` of each class; classes that occur in neither are left out.
    Labels outside ``0 .. num_classes - 1`` do not count.

    Args:
        num_classes: number of classes.
        target_class_ids: the classes whose mean is taken.
        name: name of the metric. Default: numbered ``io_u``.
        dtype: type of the confusion matrix; with weights that are not whole a floating-point one.
            Default: ``"int32"``.
        ignore_class: label of targets that do not count. Default: ``None``.
        sparse_y_true: whether targets are labels; else the largest along `axis` is the label.
            Default: ``True``.
        sparse_y_pred: whether predictions are labels likewise. Default: ``True``.
        axis: of the classes, where labels are not sparse. Default: ``-1``.

    Raises:
        ValueError: for a class outside of the range, or shapes that do not fit.

    Example:

    >>> import densekit as keras
    >>> metric = keras.metrics.IoU(num_classes=2, target_class_ids=[0])
    >>> round(float(metric([0, 0, 1, 1], [0, 1, 0, 1])), 4)
    0.3333
    """

    _direction = "up"
    _dk_rowwise = True
    _dk_of_numpy = True

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: object = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(name=name, dtype=dtype or "int32")
        self.num_classes = num_classes
        self.target_class_ids = list(target_class_ids)
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis
        self._dk_check_classes()
        claim(_CELL_BYTES * num_classes**2, self.name, f"{num_classes} classes")
        self.total_cm = self.add_variable(
            (num_classes, num_classes), "zeros", self.dtype, name="total_confusion_matrix"
        )

    def _dk_check_classes(self) -> None:
        ids, n = self.target_class_ids, self.num_classes
        if not ids or not all(-n <= index < n for index in ids):
            raise ValueError(
                message(
                    self.name,
                    f"classes from 0 to {n - 1} as `target_class_ids`",
                    describe(ids),
                    "Name one class at least, or raise `num_classes`.",
                )
            )

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add targets and predictions ``(batch, ...)``: labels, or scores of the classes."""
        true = self._dk_labels(y_true, self.sparse_y_true)
        pred = self._dk_labels(y_pred, self.sparse_y_pred)
        if true.size != pred.size:
            raise ValueError(
                message(
                    self.name,
                    f"one predicted label for each of {true.size} targets",
                    f"{pred.size}",
                    "With scores of classes pass `sparse_y_pred=False`.",
                )
            )
        weight = self._dk_weights(sample_weight, true.shape)
        true, pred = true.ravel(), pred.ravel()
        n = self.num_classes
        counts = (true >= 0) & (true < n) & (pred >= 0) & (pred < n)
        if self.ignore_class is not None:
            counts &= true != self.ignore_class
        cells = true[counts].astype(np.int64) * n + pred[counts].astype(np.int64)
        matrix = np.bincount(cells, None if weight is None else weight[counts], minlength=n * n)
        self._dk_add(self.total_cm, matrix.reshape(n, n))

    def _dk_labels(self, y: ArrayLike, sparse: bool) -> Array:
        y = np.asarray(y)
        y = y if sparse else np.argmax(y, axis=self.axis)
        with np.errstate(invalid="ignore"):  # NaN becomes a label that is none
            return np.asarray(y, to_numpy_dtype(self.dtype))

    def _dk_weights(
        self, given: ArrayLike | None, shape: tuple[int, ...]
    ) -> npt.NDArray[np.float64] | None:
        if given is None:
            return None
        weight = spread_weights(self.name, given, shape).ravel()
        if is_float_dtype(self.dtype):
            return weight
        whole = np.trunc(weight)
        if (whole != weight).any():
            warn(
                message(
                    self.name,
                    f"whole weights beside the dtype {self.dtype!r}",
                    "fractions, which are cut off",
                    "Create the metric with dtype='float32'.",
                ),
                UserWarning,
            )
        return whole

    def result(self) -> Result:
        """The mean over `target_class_ids`; 0 if none of them occurred."""
        matrix = np.asarray(self._dk_sum(self.total_cm), np.float64)
        common = np.diagonal(matrix)
        union = (matrix.sum(axis=0) + matrix.sum(axis=1) - common)[self.target_class_ids]
        occurs = union > 1e-9
        small = settings.epsilon()
        shares = np.where(occurs, common[self.target_class_ids] / (union + small), 0.0)
        mean = shares.sum() / (occurs.sum() + small)
        return np.array(mean, self.dtype if is_float_dtype(self.dtype) else "float32")[()]

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "target_class_ids": self.target_class_ids,
            "ignore_class": self.ignore_class,
            "sparse_y_true": self.sparse_y_true,
            "sparse_y_pred": self.sparse_y_pred,
            "axis": self.axis,
        }

    def _dk_config_without(self, *fixed: str) -> Config:
        return {key: value for key, value in IoU.get_config(self).items() if key not in fixed}


@export("keras.metrics")
class BinaryIoU(IoU):
    """Intersection over union of two classes: predictions from `threshold` on are class 1.

    Formula: ``tp / (tp + fp + fn)``, the mean over `target_class_ids`.

    Args:
        target_class_ids: ``[0]``, ``[1]`` or both. Default: ``(0, 1)``.
        threshold: the lowest prediction that is class 1. Default: ``0.5``.
        name: name of the metric. Default: numbered ``binary_io_u``.
        dtype: type of the confusion matrix; see `IoU`. Default: ``"int32"``.

    Raises:
        ValueError: for another class, or shapes that do not fit.

    Example:

    >>> import densekit as keras
    >>> metric = keras.metrics.BinaryIoU(threshold=0.3)
    >>> round(float(metric([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7])), 4)
    0.3333
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: object = None,
    ) -> None:
        super().__init__(2, target_class_ids, name=name, dtype=dtype)
        self.threshold = threshold

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add targets 0 or 1 and predictions ``(batch, ...)``."""
        positive = np.asarray(y_pred, np.float32) >= self.threshold
        super().update_state(y_true, positive, sample_weight)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        config = self._dk_config_without(
            "num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis"
        )
        return {**config, "threshold": self.threshold}


@export("keras.metrics")
class MeanIoU(IoU):
    """Intersection over union, its mean over all classes that occur.

    Formula: ``tp / (tp + fp + fn)`` of each class.

    Args:
        num_classes: number of classes.
        name: name of the metric. Default: numbered ``mean_io_u``.
        dtype: type of the confusion matrix; see `IoU`. Default: ``"int32"``.
        ignore_class: label of targets that do not count. Default: ``None``.
        sparse_y_true: whether targets are labels; see `IoU`. Default: ``True``.
        sparse_y_pred: whether predictions are labels likewise. Default: ``True``.
        axis: of the classes, where labels are not sparse. Default: ``-1``.

    Raises:
        ValueError: for no classes, or shapes that do not fit.

    Example:

    >>> import densekit as keras
    >>> round(float(keras.metrics.MeanIoU(num_classes=2)([0, 0, 1, 1], [0, 1, 0, 1])), 4)
    0.3333
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: object = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes,
            range(num_classes),
            name=name,
            dtype=dtype,
            ignore_class=ignore_class,
            sparse_y_true=sparse_y_true,
            sparse_y_pred=sparse_y_pred,
            axis=axis,
        )

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return self._dk_config_without("target_class_ids")


@export("keras.metrics")
class OneHotIoU(IoU):
    """Intersection over union of one-hot targets, its mean over some classes.

    Formula: ``tp / (tp + fp + fn)`` of each class.

    Args:
        num_classes: number of classes.
        target_class_ids: the classes whose mean is taken.
        name: name of the metric. Default: numbered ``one_hot_io_u``.
        dtype: type of the confusion matrix; see `IoU`. Default: ``"int32"``.
        ignore_class: label of targets that do not count. Default: ``None``.
        sparse_y_pred: whether predictions are labels, not scores. Default: ``False``.
        axis: of the classes. Default: ``-1``.

    Raises:
        ValueError: for a class outside of the range, or shapes that do not fit.

    Example:

    >>> import densekit as keras
    >>> metric = keras.metrics.OneHotIoU(num_classes=2, target_class_ids=[1])
    >>> round(float(metric([[1, 0], [0, 1]], [[0.4, 0.6], [0.1, 0.9]])), 4)
    0.5
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: object = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes,
            target_class_ids,
            name=name,
            dtype=dtype,
            ignore_class=ignore_class,
            sparse_y_true=False,
            sparse_y_pred=sparse_y_pred,
            axis=axis,
        )

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return self._dk_config_without("sparse_y_true")


@export("keras.metrics")
class OneHotMeanIoU(MeanIoU):
    """Intersection over union of one-hot targets, its mean over all classes that occur.

    Formula: ``tp / (tp + fp + fn)`` of each class.

    Args:
        num_classes: number of classes.
        name: name of the metric. Default: numbered ``one_hot_mean_io_u``.
        dtype: type of the confusion matrix; see `IoU`. Default: ``"int32"``.
        ignore_class: label of targets that do not count. Default: ``None``.
        sparse_y_pred: whether predictions are labels, not scores. Default: ``False``.
        axis: of the classes. Default: ``-1``.

    Raises:
        ValueError: for no classes, or shapes that do not fit.

    Example:

    >>> import densekit as keras
    >>> metric = keras.metrics.OneHotMeanIoU(num_classes=2)
    >>> round(float(metric([[1, 0], [0, 1]], [[0.4, 0.6], [0.1, 0.9]])), 4)
    0.25
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: object = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes,
            name=name,
            dtype=dtype,
            ignore_class=ignore_class,
            sparse_y_true=False,
            sparse_y_pred=sparse_y_pred,
            axis=axis,
        )

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return self._dk_config_without("target_class_ids", "sparse_y_true")
