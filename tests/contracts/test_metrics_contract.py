"""What every metric owes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
import densekit.metrics
from densekit._core.registry import components

METRICS = {
    name: cls
    for name, cls in components("keras.metrics").items()
    if isinstance(cls, type) and name not in ("Metric", "Mean", "Sum", "MeanMetricWrapper")
}
FUNCTIONS = {n: f for n, f in components("keras.metrics").items() if not isinstance(f, type)}
NEEDS: dict[str, tuple[Any, ...]] = {
    "SensitivityAtSpecificity": (0.5,),
    "SpecificityAtSensitivity": (0.5,),
    "PrecisionAtRecall": (0.5,),
    "RecallAtPrecision": (0.5,),
}
ROWS, CLASSES = 20, 4


def data(name: str) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(3)
    y_pred = rng.dirichlet(np.ones(CLASSES), size=ROWS).astype("float32")
    labels = rng.integers(0, CLASSES, size=ROWS)
    sparse = name.lower().startswith("sparse")
    y_true = labels if sparse else np.eye(CLASSES, dtype="float32")[labels]
    return y_true, y_pred, rng.uniform(0.5, 2.0, size=ROWS).astype("float32")


def create(metric: str, **arguments: Any) -> Any:
    return METRICS[metric](*NEEDS.get(metric, ()), **arguments)


@pytest.mark.parametrize("name", METRICS)
def test_config_round_trip(name: str) -> None:
    metric = create(name, name="mine", dtype="float64")
    config = metric.get_config()
    assert (config["name"], config["dtype"]) == ("mine", "float64")
    assert METRICS[name].from_config(config).get_config() == config
    revived = densekit.metrics.deserialize(densekit.metrics.serialize(metric))
    assert type(revived) is METRICS[name]
    assert revived.get_config() == config


@pytest.mark.parametrize("name", METRICS)
def test_rows_at_once_equal_rows_in_batches(name: str) -> None:
    y_true, y_pred, weight = data(name)
    whole, parts = create(name), create(name)
    assert whole.rowwise
    whole.update_state(y_true, y_pred, weight)
    for rows in (slice(0, 7), slice(7, 8), slice(8, ROWS)):
        parts.update_state(y_true[rows], y_pred[rows], weight[rows])
    # The sums are in float64; only the values of rows are float32.
    np.testing.assert_allclose(parts.result(), whole.result(), rtol=1e-6)
    assert np.all(np.isfinite(whole.result()))


@pytest.mark.parametrize("name", METRICS)
def test_unit_weights_are_no_weights(name: str) -> None:
    y_true, y_pred, _ = data(name)
    plain, weighted = create(name), create(name)
    np.testing.assert_allclose(
        weighted(y_true, y_pred, np.ones(ROWS)), plain(y_true, y_pred), rtol=1e-6
    )


@pytest.mark.parametrize("name", METRICS)
def test_reset_forgets(name: str) -> None:
    y_true, y_pred, weight = data(name)
    metric = create(name)
    first = np.array(metric(y_true, y_pred, weight))
    buffers = [v.array.ctypes.data for v in metric.variables]
    metric.reset_state()
    assert all(not v.numpy().any() for v in metric.variables)
    np.testing.assert_array_equal(metric(y_true, y_pred, weight), first)
    assert [v.array.ctypes.data for v in metric.variables] == buffers


@pytest.mark.parametrize("name", METRICS)
def test_result_is_of_the_dtype(name: str) -> None:
    y_true, y_pred, _ = data(name)
    for dtype in ("float32", "float64"):
        assert np.asarray(create(name, dtype=dtype)(y_true, y_pred)).dtype == dtype


@pytest.mark.parametrize("name", METRICS)
def test_weights_weigh(name: str) -> None:
    """Rows of weight 0 are as good as absent."""
    y_true, y_pred, weight = data(name)
    weight[::2] = 0
    some, none = create(name), create(name)
    some.update_state(y_true[1::2], y_pred[1::2], weight[1::2])
    none.update_state(y_true, y_pred, weight)
    np.testing.assert_allclose(none.result(), some.result(), rtol=1e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_give_one_value_a_row(name: str) -> None:
    y_true, y_pred, _ = data(name)
    if name == "binary_accuracy":
        assert FUNCTIONS[name](y_true, y_pred).shape == y_pred.shape
    else:
        assert FUNCTIONS[name](y_true, y_pred).shape == (ROWS,)


def test_functions_take_lists_as_well() -> None:
    assert float(keras.metrics.Mean()([1, 2, 3])) == 2.0
