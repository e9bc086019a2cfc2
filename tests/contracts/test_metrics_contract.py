"""What every metric owes."""

from __future__ import annotations

import inspect
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
ROWS, CLASSES = 20, 4
NEEDS: dict[str, tuple[Any, ...]] = {
    "SensitivityAtSpecificity": (0.5,),
    "SpecificityAtSensitivity": (0.5,),
    "PrecisionAtRecall": (0.5,),
    "RecallAtPrecision": (0.5,),
    "IoU": (CLASSES, (0, 2)),
    "MeanIoU": (CLASSES,),
    "OneHotIoU": (CLASSES, (0, 2)),
    "OneHotMeanIoU": (CLASSES,),
}


def data(name: str) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(3)
    y_pred = rng.dirichlet(np.ones(CLASSES), size=ROWS).astype("float32")
    labels = rng.integers(0, CLASSES, size=ROWS)
    if name in ("IoU", "MeanIoU"):
        y_pred = y_pred.argmax(axis=-1)
    sparse = name.lower().startswith("sparse") or name in ("IoU", "MeanIoU")
    y_true = labels if sparse else np.eye(CLASSES, dtype="float32")[labels]
    return y_true, y_pred, rng.uniform(0.5, 2.0, size=ROWS).astype("float32")


def create(metric: str, **arguments: Any) -> Any:
    if "IoU" in metric:  # by default whole weights alone count
        arguments = {"dtype": "float32", **arguments}
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


@pytest.mark.parametrize("name", METRICS)
def test_variables_stand_for_their_values(name: str) -> None:
    y_true, y_pred, weight = data(name)
    metric, reference = create(name), create(name)
    for _ in range(2):  # some create their variables at the first update
        metric.update_state(y_true, y_pred, weight)
        reference.update_state(y_true, y_pred, weight)
    updated = metric.stateless_update_state(metric.variables, y_true, y_pred, weight)
    expected = reference.stateless_update_state(
        [v.numpy() for v in reference.variables], y_true, y_pred, weight
    )
    for one, other in zip(updated, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(
        metric.stateless_result(metric.variables), reference.stateless_result(reference.variables)
    )


IGNORING = [
    n
    for n, c in METRICS.items()
    if "ignore_class" in inspect.signature(c).parameters and not n.endswith("IoU")
]


@pytest.mark.parametrize("name", IGNORING)
@pytest.mark.parametrize("weights", ["none", "scalar", "rows", "values", "column"])
def test_ignored_samples_are_as_if_left_out(name: str, weights: str) -> None:
    """With weights: theirs do not count. Without: they count as 0, as in Keras."""
    rng = np.random.default_rng(5)
    y_pred = rng.dirichlet(np.ones(CLASSES), size=(ROWS, 3)).astype("float32")
    y_true = rng.integers(0, CLASSES, size=(ROWS, 3))
    per_row = rng.uniform(0.5, 2.0, size=ROWS).astype("float32")
    weight = {
        "none": None,
        "scalar": 2.0,
        "rows": per_row,
        "values": rng.uniform(0.5, 2.0, size=(ROWS, 3)).astype("float32"),
        "column": per_row[:, None],
    }[weights]
    metric = create(name, ignore_class=1)
    metric.update_state(y_true, y_pred, sample_weight=weight)
    kept = y_true != 1
    assert 0 < kept.sum() < kept.size
    losses = -np.log(np.take_along_axis(y_pred, y_true[..., None], -1)[..., 0].astype("float64"))
    if weights == "none":
        expected = losses[kept].sum() / kept.size
    else:
        full = np.broadcast_to(per_row[:, None] if weights == "rows" else weight, kept.shape)
        expected = (losses * full)[kept].sum() / full[kept].sum()
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


def test_ignored_samples_in_a_wrapper() -> None:
    metric = keras.metrics.MeanMetricWrapper(
        keras.losses.sparse_categorical_crossentropy, ignore_class=0
    )
    y_pred = [[0.3, 0.7], [0.6, 0.4], [0.2, 0.8], [0.9, 0.1]]
    metric.update_state([0, 1, 1, 0], y_pred, sample_weight=[1, 2, 0, 1])
    assert float(metric.result()) == pytest.approx(0.916291, abs=1e-6)
    with pytest.raises(ValueError, match="leading axes"):
        metric.update_state([0, 1, 1, 0], y_pred, sample_weight=[1.0])
