"""A network as transformer of scikit-learn."""

from __future__ import annotations

from typing import Any

from densekit._core.types import Array
from densekit.wrappers._estimator import Estimator, TransformerMixin


class SKLearnTransformer(TransformerMixin, Estimator):  # type: ignore[misc]
    """A network as transformer of scikit-learn, a step that turns rows into others.

    Formula: ``transform(X)`` is what the network gives for X.

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
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2), keras.layers.Dense(4)])
    >>> model.compile("adam", "mse")
    >>> x = np.random.default_rng(0).normal(size=(32, 4))
    >>> code = keras.wrappers.SKLearnTransformer(model, fit_kwargs={"verbose": 0})
    >>> code.fit(x, x).transform(x).shape
    (32, 4)
    """

    def transform(self, X: object) -> Array:
        """What the network gives for rows ``(samples, features)``."""
        return self._outputs(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags
