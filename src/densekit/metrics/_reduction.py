"""Sums and means over samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, cast

import numpy as np

from densekit import ops
from densekit._core.errors import returned
from densekit._core.masks import mask_of
from densekit._core.native_form import NativeForm
from densekit._core.registry import export, public_name
from densekit._core.scope import in_stateless_scope
from densekit._core.serialization import (
    deserialize_function,
    deserialize_keras_object,
    serialize_keras_object,
)
from densekit._core.tensor import Tensor, lend
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit.losses._native_forms import loss_form
from densekit.losses._shapes import labels
from densekit.metrics._metric import Metric, Result
from densekit.metrics._samplewise import count_at_once, masked, samplewise

_NUMBERS = frozenset({float, np.float32, np.float64})


def _total(values: TensorLike) -> TensorLike | np.float64:
    """The sum of `values`, in float64 where it is a plain array."""
    return ops.sum(values) if in_stateless_scope() else _sum(values)


def _sum(values: TensorLike) -> np.float64:
    """The sum in float64: NumPy's, without the looks at other types."""
    if type(values) is Tensor:
        total: np.float64 = np.add.reduce(values, axis=None, dtype=np.float64)
        return total
    total = np.sum(values, dtype=np.float64)
    return total


@export("keras.metrics")
class Sum(Metric):
    """``sum_i sample_weight_i * values_i``.

    The sum is gathered in float64; the variable `total` shows it in `dtype`.

    Args:
        name: name of the metric. Default: ``"sum"``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: if `sample_weight` does not fit the leading axes of the values.

    Example:

    >>> import densekit as keras
    >>> metric = keras.metrics.Sum()
    >>> metric.update_state([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
    >>> float(metric.result())
    4.0
    """

    _dk_rowwise = True

    def __init__(self, name: str = "sum", dtype: object = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", dtype=self.dtype, name="total")

    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add values of shape ``(batch, ...)``."""
        weighted, _ = samplewise(self.name, values, sample_weight, ops.sum, self.dtype)
        self._dk_add(self.total, _total(weighted))

    def result(self) -> Result:
        """The sum so far."""
        return self._dk_rounded(self._dk_sum(self.total))


@export("keras.metrics")
class Mean(Metric):
    """``sum_i sample_weight_i * values_i / sum_i sample_weight_i``, 0 before the first value.

    Sum and weights are gathered in float64, so that long runs do not drift; the variables `total`
    and `count` show them in `dtype`.

    Args:
        name: name of the metric. Default: ``"mean"``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: if `sample_weight` does not fit the leading axes of the values.

    Example:

    >>> import densekit as keras
    >>> metric = keras.metrics.Mean()
    >>> metric.update_state([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
    >>> float(metric.result())
    2.0
    """

    _dk_rowwise = True

    def __init__(self, name: str = "mean", dtype: object = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", dtype=self.dtype, name="total")
        self.count = self.add_variable((), "zeros", dtype=self.dtype, name="count")

    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add values of shape ``(batch, ...)``; those of one sample count as their mean."""
        if type(values) in _NUMBERS and not in_stateless_scope():
            kind = self.total.numpy_dtype.type
            if sample_weight is None:
                self._dk_add_number(self.total, float(kind(values)))
                self._dk_add_number(self.count, 1.0)
                return
            if type(sample_weight) is int:  # of rows
                with np.errstate(over="ignore"):
                    weighted = kind(values) * kind(sample_weight)
                self._dk_add_number(self.total, float(weighted))
                self._dk_add_number(self.count, float(kind(sample_weight)))
                return
        self._dk_add_values(values, sample_weight)

    def _dk_add_values(self, values: ArrayLike, sample_weight: ArrayLike | None) -> None:
        weighted, weight = samplewise(self.name, values, sample_weight, ops.mean, self.dtype)
        count = (weighted.shape or (1,))[0] if weight is None else _total(weight)
        self._dk_add(self.total, _total(weighted))
        self._dk_add(self.count, count)

    def result(self) -> Result:
        """The mean so far."""
        total, count = self._dk_sum(self.total), self._dk_sum(self.count)
        if type(total) is type(count) is np.float64:
            return self._dk_rounded(float(total) / float(count) if count else 0.0)
        return self._dk_rounded(ops.divide_no_nan(total, count))


@export("keras.metrics")
class MeanMetricWrapper(Mean):
    """The mean of a function of targets and predictions.

    Args:
        fn: ``fn(y_true, y_pred, **kwargs)`` that returns an array of one value or more for each
            sample.
        name: name of the metric. Default: numbered after the class.
        dtype: type of the state and the result. Default: `floatx`.
        **kwargs: passed to `fn`.

    Raises:
        ValueError: if `sample_weight` does not fit the values.

    Example:

    >>> import densekit as keras
    >>> metric = keras.metrics.MeanMetricWrapper(lambda y_true, y_pred: (y_true - y_pred) ** 2)
    >>> import numpy as np
    >>> float(metric(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """

    def __init__(
        self,
        fn: Callable[..., ArrayLike],
        name: str | None = None,
        dtype: object = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, dtype=dtype)  # type: ignore[arg-type]
        self._fn = fn
        self._fn_kwargs = kwargs
        owner = public_name(fn) or public_name(type(fn))
        if self._direction is None and owner is not None and owner[0] == "keras.losses":
            self._direction = "down"

    @property
    def rowwise(self) -> bool:
        """Whether `fn` treats rows one by one, as the built-in ones do along the last axis."""
        axis = self._fn_kwargs.get("axis", -1)
        own = public_name(type(self)) is not None and public_name(self._fn) is not None
        return own and axis == -1

    def form_of_total(self) -> NativeForm | None:
        """The kernel that computes what `update_state` adds for arrays of one type and shape."""
        own = type(self)
        known = own.update_state is MeanMetricWrapper.update_state
        return loss_form(self._fn, self._fn_kwargs) if known else None

    def add_total(self, total: float, count: int) -> None:
        """Add so many samples whose values have that sum; no scope is active."""
        self._dk_add_number(self.total, float(total))
        self._dk_add_number(self.count, float(count))

    def update_state(  # type: ignore[override]
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add targets and predictions of shape ``(batch, ...)``."""
        y_true, y_pred = lend(y_true), lend(y_pred)
        mask = mask_of(y_pred)
        if sample_weight is None and mask is None and not in_stateless_scope():
            right = count_at_once(self._fn, self._fn_kwargs, y_true, y_pred)
            if right is not None:
                return self.add_total(right, len(cast("Tensor", y_pred)))
        given = self._fn(y_true, y_pred, **self._fn_kwargs)
        values: ArrayLike = returned(given, self._fn, "a value for each sample")
        if mask is not None:
            weight = 1.0 if sample_weight is None else sample_weight
            sample_weight = masked(self.name, weight, mask, self.dtype)
        if sample_weight is not None:
            valid = self._dk_valid(y_true, y_pred)
            if valid is not None:
                sample_weight = masked(self.name, sample_weight, valid, self.dtype)
        self._dk_add_values(values, sample_weight)

    def _dk_valid(self, y_true: ArrayLike, y_pred: ArrayLike) -> TensorLike | None:
        """Where the label is not the ignored class, whose weight is 0; None: everywhere."""
        ignored = self._fn_kwargs.get("ignore_class")
        sparse = ("keras.losses", "sparse_categorical_crossentropy")
        if ignored is None or public_name(self._fn) != sparse:
            return None
        return ops.not_equal(labels(y_true, ops.convert_to_tensor(y_pred), self.name), ignored)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        kwargs = {key: serialize_keras_object(v) for key, v in self._fn_kwargs.items()}
        return {**super().get_config(), "fn": serialize_keras_object(self._fn), **kwargs}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Create from `get_config`."""
        if isinstance(config.get("fn"), dict | str):
            config = {
                key: deserialize_keras_object(value) if isinstance(value, dict) else value
                for key, value in config.items()
            } | {"fn": deserialize_function(config["fn"], "keras.metrics")}
        return cls(**config)


class FunctionMean(MeanMetricWrapper):
    """The mean of a built-in function; its settings are arguments and attributes."""

    def __init__(
        self, fn: Callable[..., ArrayLike], name: str | None, dtype: object, **configuration: Any
    ) -> None:
        super().__init__(fn, name, dtype, **configuration)
        for key, value in configuration.items():
            setattr(self, key, value)

    def __setattr__(self, name: str, value: object) -> None:
        arguments = self.__dict__.get("_fn_kwargs", {})
        if name in arguments:
            arguments[name] = value
        super().__setattr__(name, value)

    @property
    def rowwise(self) -> bool:
        """Whether rows are treated one by one: along the last axis they are."""
        own = public_name(type(self)) is not None
        return own and self._fn_kwargs.get("axis", -1) == -1

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {"name": self.name, "dtype": self.dtype, **self._fn_kwargs}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Create from `get_config`."""
        return cls(**config)
