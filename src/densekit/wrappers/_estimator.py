"""What the estimators share: how a network is made, fitted, asked and cloned."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Self, TypedDict

import numpy as np

from densekit._core.errors import describe, message
from densekit._core.types import Array
from densekit.callbacks import History
from densekit.models import Model, clone_model

try:
    import sklearn
    from sklearn.base import BaseEstimator
    from sklearn.base import ClassifierMixin as ClassifierMixin
    from sklearn.base import RegressorMixin as RegressorMixin
    from sklearn.base import TransformerMixin as TransformerMixin
    from sklearn.utils.metadata_routing import get_routing_for_object
    from sklearn.utils.multiclass import type_of_target
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError:  # the classes can be named, not made
    sklearn = None

    class _Absent:
        pass

    BaseEstimator = object
    ClassifierMixin = RegressorMixin = TransformerMixin = _Absent


class Quiet(TypedDict, total=False):
    """Arguments of `Model.predict`."""

    verbose: int | str


class Estimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A network that is made, or cloned, anew for each `fit`."""

    def __init__(
        self,
        model: Model | Callable[..., Model],
        warm_start: bool = False,
        model_kwargs: dict[str, object] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
    ) -> None:
        if sklearn is None:
            raise ImportError(
                message(
                    type(self).__name__,
                    "scikit-learn 1.6 or newer",
                    "none",
                    "Run: pip install densekit[sklearn]",
                )
            )
        # As scikit-learn wants it, arguments are kept as they are and checked by `fit`.
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True
        tags.target_tags.multi_output = True
        return tags

    def __sklearn_clone__(self) -> Self:
        """An unfitted estimator with the same arguments; a model among them is copied."""
        model = copy.deepcopy(self.model) if isinstance(self.model, Model) else self.model
        return type(self)(
            model=model,
            warm_start=self.warm_start,
            model_kwargs=copy.deepcopy(self.model_kwargs),
            fit_kwargs=copy.copy(self.fit_kwargs),
        )

    @property
    def epoch_(self) -> int:
        """Number of epochs of the last fit."""
        history: History | None = getattr(self, "history_", None)
        return 0 if history is None else len(history.epoch)

    def set_fit_request(self, **kwargs: object) -> Self:
        """Say which metadata `fit` takes, such as ``sample_weight=True``, for metadata routing.

        Args:
            **kwargs: for each argument of `fit` True, False, None or the name it goes by.

        Raises:
            RuntimeError: unless routing is enabled in scikit-learn.
        """
        if not sklearn.get_config().get("enable_metadata_routing", False):
            raise RuntimeError(
                message(
                    "set_fit_request",
                    "metadata routing to be enabled",
                    "it disabled",
                    "Call sklearn.set_config(enable_metadata_routing=True).",
                )
            )
        requests = get_routing_for_object(self)
        for param, alias in kwargs.items():
            requests.fit.add_request(param=param, alias=alias)
        self._metadata_request = requests
        return self

    def fit(self, X: object, y: object, **kwargs: object) -> Self:
        """Make the network and fit it.

        Args:
            X: rows ``(samples, features)``.
            y: targets ``(samples,)``; not of a classifier ``(samples, outputs)`` as well.
            **kwargs: arguments of `Model.fit`, before those of `fit_kwargs`.

        Raises:
            RuntimeError: if the model is not compiled.
            ValueError: for data that scikit-learn refuses.
        """
        several = self.__sklearn_tags__().target_tags.multi_output
        rows, given = validate_data(self, X, y, multi_output=several)
        targets = self._targets(given)
        model = self._made(rows, targets)
        if not model.compiled or not model.loss or not model.optimizer:
            raise RuntimeError(
                message(
                    type(self).__name__,
                    "a compiled model with a loss and an optimizer",
                    describe(model),
                    "Call `compile` before.",
                )
            )
        self.history_ = model.fit(rows, targets, **{**(self.fit_kwargs or {}), **kwargs})
        self.model_ = model
        return self

    def _made(self, X: Array, y: Array) -> Model:
        if self.warm_start and hasattr(self, "model_"):
            return self.model_
        if isinstance(self.model, Model):
            return self.model if self.warm_start else clone_model(self.model)
        return self.model(X=X, y=y, **(self.model_kwargs or {}))

    def predict(self, X: object) -> Array:
        """What the network predicts for rows ``(samples, features)``, in the form of `y`."""
        return self._answers(self._outputs(X))

    def _outputs(self, X: object) -> Array:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        return np.asarray(self.model_.predict(X, **self._quietly()))

    def _quietly(self) -> Quiet:
        """A `verbose` for `fit` counts for predictions as well."""
        given = self.fit_kwargs or {}
        return {"verbose": given["verbose"]} if "verbose" in given else {}

    def _targets(self, y: Array) -> Array:
        """Targets as the network wants them: one column at least."""
        kind_of(y)
        self._flat = y.ndim == 1
        return y.reshape(-1, 1) if self._flat else y

    def _answers(self, outputs: Array) -> Array:
        """Outputs of the network in the form of the targets of `fit`."""
        return outputs[:, 0] if self._flat and outputs.shape[1:] == (1,) else outputs


def kind_of(y: Array) -> str:
    """What scikit-learn takes targets for: ``"binary"``, ``"multiclass"``, ``"continuous"``, ...

    Raises:
        ValueError: if it knows no name for them.
    """
    kind: str = type_of_target(y, raise_unknown=True)
    return kind
