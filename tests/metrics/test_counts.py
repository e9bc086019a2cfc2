"""The histogram against counting one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import densekit as keras
from densekit.metrics._counts import count

THRESHOLDS = {
    "even": [0.0, 0.25, 0.5, 0.75, 1.0],
    "uneven": [0.1, 0.25, 0.9],
    "unsorted": [0.9, 0.1, 0.5, 0.1],
    "one": [0.5],
}


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.booleans(),
            st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.5, 0.51, 0.75, 0.9, 1.0]),
            st.sampled_from([0.0, 0.5, 1.0, 3.0]),
        ),
        min_size=1,
        max_size=12,
    ),
    thresholds=st.sampled_from(sorted(THRESHOLDS)),
)
def test_against_counting(rows: list[tuple[bool, float, float]], thresholds: str) -> None:
    y_true, y_pred, weight = (np.array(column) for column in zip(*rows, strict=True))
    limits = THRESHOLDS[thresholds]
    found = count("test", y_true, y_pred, limits, sample_weight=weight)
    for i, limit in enumerate(limits):
        above = y_pred > limit
        expected = [
            weight[y_true & above].sum(),
            weight[~y_true & above].sum(),
            weight[~y_true & ~above].sum(),
            weight[y_true & ~above].sum(),
        ]
        assert [float(part[i]) for part in found] == expected


def test_nan_is_no_positive_prediction() -> None:
    for thresholds in THRESHOLDS.values():
        found = count("test", np.array([1.0]), np.array([np.nan]), thresholds)
        assert found.true_positives.tolist() == [0.0] * len(thresholds)
        assert found.false_negatives.tolist() == [1.0] * len(thresholds)


def test_empty_batch() -> None:
    metric = keras.metrics.AUC()
    metric.update_state(np.zeros((0, 1)), np.zeros((0, 1)))
    assert float(metric.result()) == 0.0


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Precision", {"thresholds": 1.5}),
        ("Recall", {"thresholds": [0.5, -0.1]}),
        ("AUC", {"num_thresholds": 1}),
        ("AUC", {"curve": "line"}),
        ("AUC", {"summation_method": "none"}),
        ("AUC", {"num_labels": 3}),
        ("PrecisionAtRecall", {"recall": 2.0}),
        ("RecallAtPrecision", {"precision": 0.5, "num_thresholds": 0}),
        ("F1Score", {"average": "mean"}),
        ("FBetaScore", {"beta": 0.0}),
        ("FBetaScore", {"threshold": 2.0}),
        ("R2Score", {"class_aggregation": "sum"}),
        ("R2Score", {"num_regressors": -1}),
    ],
)
def test_illegal_arguments(name: str, arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        getattr(keras.metrics, name)(**arguments)


def test_adjusted_r2_needs_more_samples_than_regressors() -> None:
    metric = keras.metrics.R2Score(num_regressors=5)
    with pytest.warns(UserWarning, match="regressors"):
        metric(np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0]]))


def test_r2_far_from_zero() -> None:
    """float32 sums of squares would cancel to noise here."""
    y_true = 1e4 + np.array([[0.0], [1.0], [2.0], [3.0]], "float32")
    y_pred = y_true + np.array([[0.5], [0.0], [0.0], [0.0]], "float32")
    assert float(keras.metrics.R2Score()(y_true, y_pred)) == pytest.approx(1 - 0.25 / 5, abs=1e-6)
