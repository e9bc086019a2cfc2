"""Right answers that are counted, against the functions whose values they sum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import metrics
from densekit._core.tensor import lend
from densekit.metrics import _samplewise
from densekit.metrics._samplewise import count_at_once

RNG = np.random.default_rng(0)


def scores(columns: int, dtype: str = "float32") -> Any:
    x = RNG.normal(size=(40, columns)).astype(dtype).round(1)  # with ties
    x[3] = 0
    x[5, 0] = np.nan
    return x


LABELS = RNG.integers(-1, 5, size=40)  # some are no classes
BATCHES: dict[Any, list[tuple[Any, Any]]] = {
    metrics.sparse_categorical_accuracy: [
        (LABELS.astype(kind).reshape(shape), scores(4, dtype))
        for kind in ("int32", "int64", "uint8")
        for shape in ((40,), (40, 1))
        for dtype in ("float32", "float64")
    ],
    metrics.categorical_accuracy: [(np.eye(4, dtype="f")[LABELS % 4], scores(4)), (scores(3),) * 2],
    metrics.binary_accuracy: [((LABELS > 1).astype("f").reshape(40, 1), scores(1) + 0.5)],
}
OTHERS: list[tuple[Any, Any, Any]] = [
    (metrics.sparse_categorical_accuracy, LABELS.astype("f"), scores(4)),
    (metrics.sparse_categorical_accuracy, LABELS.reshape(10, 4), scores(4)[:20].reshape(10, 4, 2)),
    (metrics.categorical_accuracy, np.eye(4)[LABELS % 4], scores(4)),
    (metrics.binary_accuracy, np.ones((40, 2), "f"), scores(2)),
    (metrics.binary_accuracy, np.ones(40, "f"), scores(1)),
    (metrics.mean_squared_error, scores(2), scores(2)),
]


def test_each_that_counts_has_batches() -> None:
    assert set(_samplewise._counts) == set(BATCHES)


@pytest.mark.parametrize("function", BATCHES, ids=lambda f: f.__name__)
def test_the_count_is_the_sum(function: Any) -> None:
    for y_true, y_pred in BATCHES[function]:
        found = count_at_once(function, {}, lend(y_true), lend(y_pred))
        assert found == np.asarray(function(y_true, y_pred), "float64").sum()
        assert 0 < found < 40 or y_true is y_pred


@pytest.mark.parametrize("function, y_true, y_pred", OTHERS)
def test_the_function_has_to_say(function: Any, y_true: Any, y_pred: Any) -> None:
    assert count_at_once(function, {}, lend(y_true), lend(y_pred)) is None


def test_settings_count() -> None:
    y_true, y_pred = BATCHES[metrics.binary_accuracy][0]
    for threshold in (0.5, 0.0, 2):
        metric = metrics.BinaryAccuracy(threshold=threshold)
        metric.update_state(y_true, y_pred)
        values = metrics.binary_accuracy(y_true, y_pred, threshold=threshold)
        assert float(metric.result()) == pytest.approx(np.mean(values))
    metric.threshold = 0.7
    metric.reset_state()
    metric.update_state(y_true, y_pred)
    assert float(metric.result()) == pytest.approx(np.mean((y_pred > 0.7) == y_true))


def test_shapes_that_do_not_fit_are_refused_as_before() -> None:
    with pytest.raises(ValueError, match="label"):
        metrics.SparseCategoricalAccuracy().update_state(LABELS[:5], scores(4))
    with pytest.raises(ValueError, match="shape"):
        metrics.CategoricalAccuracy().update_state(scores(3), scores(4))


def test_sums_notice_what_is_assigned_and_what_is_not_finite() -> None:
    mean = keras.metrics.Mean()
    for value in (1.0, 2.0):
        mean.update_state(value)
    mean.total.assign(30.0)
    mean.update_state(3.0)
    assert float(mean.result()) == 11.0
    mean.reset_state()
    assert float(mean.result()) == 0.0
    for value in (3e38, 3e38):  # together no float32
        mean.update_state(np.float32(value))
    assert float(mean.result()) == pytest.approx(3e38, rel=1e-6)
    assert np.isinf(mean.total.numpy())
    mean.update_state(float("nan"))
    assert np.isnan(mean.result())
    mean.update_state(1.0)
    assert np.isnan(mean.result())


def test_long_sums_do_not_drift() -> None:
    mean = keras.metrics.Mean()
    mean.total.assign(2.0**24)
    mean.count.assign(2.0**24)
    for _ in range(64):
        mean.update_state(1.0)
    assert float(mean.result()) == 1.0
    assert mean._dk_sum(mean.count) == 2.0**24 + 64
