"""What every loss is: a function of targets and predictions, a reduction and a config."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, ClassVar, Self

from densekit import ops
from densekit._core import settings, tree
from densekit._core.assignments import CountsAssignments
from densekit._core.dtype_policy import get_dtype_policy
from densekit._core.errors import message, returned
from densekit._core.frames import hide_internal_frames
from densekit._core.masks import mask_of
from densekit._core.naming import auto_name
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.scope import recording_scope
from densekit._core.serialization import (
    deserialize_function,
    deserialize_keras_object,
    serialize_keras_object,
)
from densekit._core.tensor import lend
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit.losses._native_forms import loss_form
from densekit.losses._reduction import reduce_weighted_values, standardize_reduction
from densekit.losses._shapes import same_rank


@export("keras.losses", "loss")
class Loss(CountsAssignments):
    """What training makes small: one number from targets and predictions.

    Formula: ``reduction(sample_weight * call(y_true, y_pred))``. A subclass defines
    ``call(y_true, y_pred)``, which returns one value per sample.

    Args:
        name: name of the loss. Default: numbered after the class.
        reduction: ``"sum_over_batch_size"`` (also ``"mean"``): sum / number of values;
            ``"mean_with_sample_weight"``: sum / sum of weights; ``"sum"``; ``"none"`` or None.
            Default: ``"sum_over_batch_size"``.
        dtype: type to compute in, a name or `DTypePolicy`. Default: `floatx`.

    Raises:
        ValueError: for an unknown `reduction`, or a weight whose shape does not fit the losses.

    Example:

    >>> import densekit as keras
    >>> class Largest(keras.losses.Loss):
    ...     def call(self, y_true, y_pred):
    ...         return keras.ops.max(keras.ops.abs(y_true - y_pred), axis=-1)
    >>> float(Largest()([[0.0, 0.0]], [[1.0, -3.0]]))
    3.0
    """

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: object = None,
    ) -> None:
        self.name = name or auto_name(type(self))
        self.reduction = standardize_reduction(reduction)
        self._dtype_policy = get_dtype_policy(dtype or settings.floatx())

    @property
    def dtype(self) -> str:
        """Type the loss computes in."""
        return self._dtype_policy.compute_dtype

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The reduced loss.

        Args:
            y_true: targets ``(batch, ...)``.
            y_pred: predictions ``(batch, ...)``.
            sample_weight: weights ``(batch,)``, or of the shape of the losses. Default: none.
        """
        try:
            scope = recording_scope()
            if scope is not None:
                value = scope.run_loss(self, (y_true, y_pred, sample_weight))
                if value is not NotImplemented:
                    return value
            return self._dk_reduced(y_true, y_pred, sample_weight)
        except Exception as error:
            hide_internal_frames(error)
            raise

    def _dk_reduced(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike
    ) -> TensorLike:
        """The loss by its definition."""
        given_mask = mask_of(y_pred)
        y_true, y_pred = self._dk_tensors(y_true), self._dk_tensors(y_pred)
        values = returned(self.call(y_true, y_pred), self._dk_formula, "a loss for each sample")
        mask = mask_of(values)
        if mask is None:
            mask = self.valid(y_true, y_pred)
        if mask is None:
            mask = given_mask
        elif given_mask is not None:
            mask = ops.logical_and(mask, given_mask)
        return reduce_weighted_values(values, sample_weight, mask, self.reduction, self.dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One loss per sample; to be defined by subclasses."""
        raise NotImplementedError(
            message(type(self).__name__, "a `call(y_true, y_pred)` method", "none", "Define it.")
        )

    @property
    def _dk_formula(self) -> object:
        """What error texts name."""
        return self

    def valid(self, y_true: Any, y_pred: Any) -> Any:
        """A mask of the shape of the losses, False where one does not count; None: all count."""
        return None

    def _dk_tensors(self, y: Any) -> Any:
        """Arrays of the loss' type, from an array, nested lists or a structure of arrays."""
        if isinstance(y, dict):
            return {key: self._dk_tensors(value) for key, value in y.items()}
        if isinstance(y, list | tuple) and any(_is_array(item) for item in y):
            return tree.with_children(y, [self._dk_tensors(item) for item in y])
        return ops.convert_to_tensor(lend(y), dtype=self.dtype)

    def _dk_in(self, dtype: str) -> Self:
        """This loss, as it computes in another type."""
        if self.dtype == dtype:
            return self
        other = copy(self)
        other.__dict__["_dtype_policy"] = get_dtype_policy(dtype)
        return other

    def __getstate__(self) -> dict[str, object]:
        # What a tape noted belongs to this object's programs.
        return {k: v for k, v in self.__dict__.items() if k not in ("_dk_form", "_dk_noted")}

    def get_config(self) -> Config:
        """``{"name": ..., "reduction": ...}``."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Create from `get_config`."""
        return cls(**config)


def _is_array(value: Any) -> bool:
    return (hasattr(value, "shape") and len(value.shape) > 0) or isinstance(value, dict)


@export("keras.src.losses.losses")
class LossFunctionWrapper(Loss):
    """A loss around a function ``fn(y_true, y_pred, **kwargs)``.

    Formula: ``call(y_true, y_pred) = fn(y_true, y_pred, **kwargs)``, targets and predictions given
    one rank where they differ by a last axis of size 1.

    Args:
        fn: returns one value per sample.
        reduction: as for `Loss`. Default: ``"sum_over_batch_size"``.
        name: as for `Loss`. Default: none.
        dtype: as for `Loss`. Default: none.
        **kwargs: further arguments of `fn`.

    Example:

    >>> import densekit as keras
    >>> loss = keras.losses.LossFunctionWrapper(keras.losses.huber, delta=2.0)
    >>> float(loss([[0.0]], [[1.0]]))
    0.5
    """

    def __init__(
        self,
        fn: Callable[..., TensorLike],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: object = None,
        **kwargs: object,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.fn = fn
        self._fn_kwargs: Config = kwargs

    def call(self, y_true: Any, y_pred: Any) -> TensorLike:
        """One loss per sample."""
        if hasattr(y_true, "shape") and hasattr(y_pred, "shape"):
            y_true, y_pred = same_rank(y_true, y_pred)
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    @property
    def _dk_formula(self) -> object:
        return self.fn

    def get_config(self) -> Config:
        """Name, reduction, the function and its further arguments."""
        config = super().get_config()
        config["fn"] = serialize_keras_object(self.fn)
        config.update(serialize_keras_object(self._fn_kwargs))
        return config

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Create from `get_config`."""
        if "fn" in config:
            rest = {key: value for key, value in config.items() if key != "fn"}
            fn = deserialize_function(config["fn"], "keras.losses")
            config = {**deserialize_keras_object(rest), "fn": fn}
        return cls(**config)

    def native_form(self) -> NativeForm | None:
        """The form of the function with these arguments."""
        if self.dtype not in ("float32", "float64"):
            return None
        return loss_form(self.fn, self._fn_kwargs)

    def __repr__(self) -> str:
        return f"<LossFunctionWrapper({self.fn}, kwargs={self._fn_kwargs})>"


class BuiltinLoss(LossFunctionWrapper):
    """A class around one function of this room: its config names the function's arguments."""

    # Arguments that Keras leaves out of configs, with their defaults: written only if they differ.
    _dk_seldom: ClassVar[Config] = {}

    def __init__(
        self,
        fn: Callable[..., TensorLike],
        reduction: str | None,
        name: str | None,
        dtype: object,
        **kwargs: object,
    ) -> None:
        super().__init__(fn, reduction=reduction, name=name, dtype=dtype, **kwargs)
        for key, value in kwargs.items():
            setattr(self, key, value)

    def __setattr__(self, name: str, value: object) -> None:
        arguments = self.__dict__.get("_fn_kwargs", {})
        if name in arguments:
            arguments[name] = value
        super().__setattr__(name, value)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        config = Loss.get_config(self)
        for key, value in self._fn_kwargs.items():
            if key not in self._dk_seldom or value != self._dk_seldom[key]:
                config[key] = value
        return config
