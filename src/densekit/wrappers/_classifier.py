"""A network as classifier of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from densekit._core.errors import message
from densekit._core.types import Array
from densekit.wrappers._estimator import ClassifierMixin, Estimator, kind_of


class SKLearnClassifier(ClassifierMixin, Estimator):  # type: ignore[misc]
    """A network as classifier of scikit-learn: for `Pipeline`, `GridSearchCV`, `cross_val_score`.

    Formula: the network is fitted to one-hot targets, a column for each class; the predicted class
    is ``classes_[argmax(outputs)]``.

    Args:
        model: a compiled `Model`, cloned for each fit, or a function that makes one from the
            arguments `X`, `y` (one-hot) and `model_kwargs`.
        warm_start: whether a fit goes on with the network of the last. Default: ``False``.
        model_kwargs: further arguments of `model`, if it is a function. Default: none.
        fit_kwargs: arguments of `Model.fit`. Default: none.

    Raises:
        ImportError: if scikit-learn is not installed.
        RuntimeError: by `fit`, if the model is not compiled.
        ValueError: by `fit`, for targets that are not classes, or of one class.

    After `fit` there are the attributes `model_`, `history_` (a `History`) and `classes_`.

    Example:

    >>> import densekit as keras, numpy as np
    >>> def network(X, y, units=8):
    ...     layers = keras.layers
    ...     model = keras.Sequential([
    ...         keras.Input(X.shape[1:]),
    ...         layers.Dense(units, activation="tanh"),
    ...         layers.Dense(y.shape[1], activation="softmax"),
    ...     ])
    ...     model.compile(keras.optimizers.Adam(0.1), "categorical_crossentropy")
    ...     return model
    >>> keras.utils.set_random_seed(0)
    >>> x = np.linspace(-1, 1, 60)[:, None]
    >>> y = np.where(x[:, 0] > 0, "right", "left")
    >>> classifier = keras.wrappers.SKLearnClassifier(
    ...     network, model_kwargs={"units": 4}, fit_kwargs={"epochs": 20, "verbose": 0}
    ... )
    >>> classifier.fit(x, y).predict([[-0.8], [0.8]]).tolist()
    ['left', 'right']
    """

    def decision_function(self, X: object) -> Array:
        """The outputs of the network, a column for each of `classes_`."""
        return self._outputs(X)

    def _targets(self, y: Array) -> Array:
        kind = kind_of(y)
        if kind not in ("binary", "multiclass"):
            raise ValueError(
                "Only binary and multiclass target types are supported. "  # scikit-learn's words
                + message(
                    type(self).__name__,
                    "classes as targets",
                    f"{kind} ones. Unknown label type",
                    "For numbers use SKLearnRegressor.",
                )
            )
        classes, index = np.unique(y, return_inverse=True)
        if len(classes) == 1:
            raise ValueError(
                message(
                    type(self).__name__,
                    "targets of two classes at least",
                    "one class",
                    "A classifier can't train when only one class is present.",
                )
            )
        self.classes_ = classes
        self._flat = y.ndim == 1
        one_hot: Array = np.eye(len(classes))[index.reshape(-1)]
        return one_hot

    def _answers(self, outputs: Array) -> Array:
        classes: Array = self.classes_[outputs.argmax(axis=1)]
        return classes if self._flat else classes.reshape(-1, 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        tags.target_tags.multi_output = False
        return tags
