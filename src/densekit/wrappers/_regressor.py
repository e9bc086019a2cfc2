"""A network as regressor of scikit-learn."""

from __future__ import annotations

from typing import Any

from densekit._core.types import Array
from densekit.wrappers._estimator import Estimator, RegressorMixin


class SKLearnRegressor(RegressorMixin, Estimator):  # type: ignore[misc]
    """A network as regressor of scikit-learn: for `Pipeline`, `GridSearchCV`, `cross_val_score`.

    Formula: the network is fitted to targets ``(samples, 1)`` by the loss it is compiled with;
    `score` is R².

    Args:
        model: a compiled `Model`, cloned for each fit, or a function that makes one from the
            arguments `X`, `y` and `model_kwargs`.
        warm_start: whether a fit goes on with the network of the last. Default: ``False``.
        model_kwargs: further arguments of `model`, if it is a function. Default: none.
        fit_kwargs: arguments of `Model.fit`. Default: none.

    Raises:
        ImportError: if scikit-learn is not installed.
        RuntimeError: by `fit`, if the model is not compiled.

    After `fit` there are the attributes `model_` and `history_` (a `History`).

    Example:

    >>> import densekit as keras, numpy as np
    >>> keras.utils.set_random_seed(0)
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.Adam(0.1), "mse")
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> line = keras.wrappers.SKLearnRegressor(model, fit_kwargs={"epochs": 100, "verbose": 0})
    >>> round(float(line.fit(x, 3 * x[:, 0] + 1).score(x, 3 * x[:, 0] + 1)), 3)
    1.0
    """

    def _answers(self, outputs: Array) -> Array:
        # scikit-learn wants several targets predicted in float64.
        return super()._answers(outputs) if self._flat else outputs.astype("float64")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags
