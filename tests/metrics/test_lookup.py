"""Names, shapes and configs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit.metrics import MeanMetricWrapper, get, resolve


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("mse", "MeanSquaredError"),
        ("MAE", "MeanAbsoluteError"),
        ("AUC", "AUC"),
        ("auc", "AUC"),
        ("r2_score", "R2Score"),
        ("log_cosh_error", "LogCoshError"),
        ("SparseTopKCategoricalAccuracy", "SparseTopKCategoricalAccuracy"),
    ],
)
def test_names(word: str, name: str) -> None:
    assert type(get(word)).__name__ == name


@pytest.mark.parametrize("identifier", ["nope", 3, "binary_accuracies"])
def test_unknown(identifier: Any) -> None:
    with pytest.raises(ValueError, match="metric"):
        get(identifier)


def test_classes_functions_and_none() -> None:
    assert isinstance(get(keras.metrics.Mean), keras.metrics.Mean)
    assert get(keras.metrics.binary_accuracy) is keras.metrics.binary_accuracy
    assert get(None) is None


@pytest.mark.parametrize(
    ("y_true", "y_pred", "kind"),
    [
        ((None,), (None, 1), "Binary"),
        ((None, 1), (None, 1), "Binary"),
        ((None,), (None, 5), "SparseCategorical"),
        ((None, 1), (None, 5), "SparseCategorical"),
        ((None, 5), (None, 5), "Categorical"),
    ],
)
def test_words_that_depend_on_shapes(y_true: Any, y_pred: Any, kind: str) -> None:
    for word, end in (("accuracy", "Accuracy"), ("ce", "Crossentropy")):
        metric = resolve(word, y_true, y_pred)
        assert type(metric).__name__ == kind + end
        assert metric.name == word


def test_resolve_names_and_wraps() -> None:
    def distance(y_true: Any, y_pred: Any) -> Any:
        return np.abs(y_true - y_pred)

    wrapped = resolve(distance, (None, 1), (None, 1))
    assert isinstance(wrapped, MeanMetricWrapper)
    assert wrapped.name == "distance"
    assert resolve("mse", (None, 1), (None, 1)).name == "mse"
    own = keras.metrics.Mean(name="own")
    assert resolve(own, (None, 1), (None, 1)) is own
    assert own.name == "own"
    assert resolve(lambda y_true, y_pred: y_pred, (1,), (1,)).name == "lambda"
    with pytest.raises(ValueError, match="None"):
        resolve(None, (None, 1), (None, 1))


def test_custom_metric_goes_round() -> None:
    @keras.saving.register_keras_serializable(package="tests")
    class Mine(keras.metrics.Mean):
        pass

    revived = keras.metrics.deserialize(keras.metrics.serialize(Mine(name="x")))
    assert type(revived) is Mine
    assert revived.name == "x"


def test_functions_go_by_their_names_in_snake_case() -> None:
    def myRMSE(y_true: Any, y_pred: Any) -> Any:
        return np.abs(y_true - y_pred)

    class CallMe:
        def __call__(self, y_true: Any, y_pred: Any) -> Any:
            return np.abs(y_true - y_pred)

    named = CallMe()
    named.name = "objName"  # type: ignore[attr-defined]
    for metric, name in ((myRMSE, "my_rmse"), (CallMe(), "call_me"), (named, "objName")):
        assert resolve(metric, (None, 1), (None, 1)).name == name
