"""Nothing is broadcast in silence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras

SAME_SHAPE = [
    "MeanSquaredError",
    "RootMeanSquaredError",
    "MeanAbsoluteError",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "BinaryCrossentropy",
    "CosineSimilarity",
    "Precision",
    "AUC",
    "TruePositives",
    "F1Score",
    "R2Score",
    "Accuracy",
]


@pytest.mark.parametrize("name", SAME_SHAPE)
@pytest.mark.parametrize(
    ("y_true", "y_pred"), [((6, 1), (6, 4)), ((4,), (4, 4)), ((6, 4), (6, 1)), ((5, 3), (6, 3))]
)
def test_targets_of_another_shape(name: str, y_true: Any, y_pred: Any) -> None:
    metric = getattr(keras.metrics, name)()
    with pytest.raises(ValueError) as error:
        metric.update_state(np.ones(y_true), np.ones(y_pred))
    assert str(y_true) in str(error.value)
    assert str(y_pred) in str(error.value)
    assert all(not v.numpy().any() for v in metric.variables)


@pytest.mark.parametrize("name", ["MeanSquaredError", "BinaryAccuracy", "Precision", "AUC"])
def test_a_last_axis_of_one_may_be_missing(name: str) -> None:
    y_true, y_pred = np.array([0.0, 1.0, 1.0]), np.array([0.2, 0.9, 0.4])
    results = [
        float(getattr(keras.metrics, name)()(a, b))
        for a, b in (
            (y_true, y_pred),
            (y_true[:, None], y_pred),
            (y_true, y_pred[:, None]),
            (y_true[:, None], y_pred[:, None]),
        )
    ]
    assert len(set(results)) == 1


@pytest.mark.parametrize("name", ["SparseCategoricalAccuracy", "SparseTopKCategoricalAccuracy"])
@pytest.mark.parametrize("y_true", [(6, 4), (4,), (6, 2)])
def test_labels_of_another_shape(name: str, y_true: Any) -> None:
    with pytest.raises(ValueError, match="6"):
        getattr(keras.metrics, name)()(np.ones(y_true), np.ones((6, 4)))


@pytest.mark.parametrize("name", ["MeanSquaredError", "Precision", "R2Score"])
@pytest.mark.parametrize("weight", [(5,), (1,), (6, 3), (2, 1)])
def test_weights_of_another_shape(name: str, weight: Any) -> None:
    metric = getattr(keras.metrics, name)()
    with pytest.raises(ValueError, match="sample_weight"):
        metric.update_state(np.ones((6, 2)), np.ones((6, 2)), sample_weight=np.ones(weight))
