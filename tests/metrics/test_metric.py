"""State, results and what they survive."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit.metrics import Mean, MeanMetricWrapper, Metric, Sum


def test_long_runs_do_not_drift() -> None:
    """A float32 count stops at 2 ** 24; the float64 one behind it does not."""
    metric = Mean()
    for _ in range(4):
        metric.update_state(np.full(1, 0.5), sample_weight=np.full(1, 2.0**24))
        metric.update_state(np.full(1, 1.5), sample_weight=np.full(1, 1.0))
    assert metric._dk_sum(metric.count) == 4 * 2.0**24 + 4
    assert metric.count.dtype == "float32"
    ones = Sum()
    ones.update_state(2.0**24)
    for _ in range(8):
        ones.update_state(1.0)
    assert float(ones.result()) == 2.0**24 + 8


def test_assigned_state_wins_over_the_exact_one() -> None:
    metric = Mean()
    metric.update_state([1.0, 2.0])
    metric.total.assign(10.0)
    assert float(metric.result()) == 5.0
    metric.update_state([4.0])
    assert float(metric.result()) == pytest.approx(14.0 / 3.0)
    metric.reset_state()
    assert float(metric.result()) == 0.0


def test_nan_and_overflow_stay_quiet_and_visible() -> None:
    metric = Mean()
    metric.update_state([np.nan])
    assert np.isnan(metric.result())
    metric.update_state([1.0])
    assert np.isnan(metric.result())
    total = Sum()
    for _ in range(2):
        total.update_state([3e38])
    assert np.isinf(total.total.numpy())


def test_rowwise_is_promised_by_built_in_metrics_alone() -> None:
    def scalar(y_true: Any, y_pred: Any) -> Any:
        return np.sqrt(np.mean((y_true - y_pred) ** 2))

    class Mine(Mean):
        pass

    assert keras.metrics.BinaryAccuracy().rowwise
    assert keras.metrics.AUC().rowwise
    assert MeanMetricWrapper(keras.losses.mean_squared_error).rowwise
    assert not MeanMetricWrapper(scalar).rowwise
    assert not keras.metrics.CosineSimilarity(axis=0).rowwise
    assert not Mine().rowwise
    assert not Metric().rowwise


def test_direction_for_callbacks() -> None:
    assert keras.metrics.AUC()._direction == "up"
    assert keras.metrics.MeanSquaredError()._direction == "down"
    assert MeanMetricWrapper(keras.losses.mean_squared_error)._direction == "down"
    assert MeanMetricWrapper(keras.losses.MeanSquaredError())._direction == "down"
    assert Mean()._direction is None


def test_stateless_methods_write_nothing() -> None:
    metric = Mean()
    metric.update_state([5.0])
    state = metric.stateless_reset_state()
    state = metric.stateless_update_state(state, np.array([1.0, 3.0], "float32"))
    assert [float(v) for v in state] == [4.0, 2.0]
    assert float(metric.stateless_result(state)) == 2.0
    assert float(metric.result()) == 5.0
    with pytest.raises(ValueError, match="expected 2 `metric_variables`, got 1"):
        metric.stateless_result(state[:1])


def test_means_trace_under_jax() -> None:
    import jax

    for metric in (
        keras.metrics.SparseCategoricalAccuracy(),
        keras.metrics.TopKCategoricalAccuracy(k=2),
        keras.metrics.RootMeanSquaredError(),
        keras.metrics.BinaryCrossentropy(),
    ):
        y_pred = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]], "float32")
        y_true: Any = np.array([[0, 1, 0], [0, 0, 1]], "float32")
        if "sparse" in metric.name:
            y_true = np.array([1, 2])
        state = [v.numpy() for v in metric.variables]
        weight = np.array([1.0, 3.0], "float32")
        state = jax.jit(metric.stateless_update_state)(state, y_true, y_pred, weight)
        found = float(metric.stateless_result(state))
        assert found == pytest.approx(float(metric(y_true, y_pred, weight)), rel=1e-5)


def test_metrics_inside_metrics() -> None:
    class Pair(Metric):
        def __init__(self) -> None:
            super().__init__(name="pair")
            self.first = Mean(name="first")
            self.second = keras.Variable(0.0, name="second")

        def update_state(self, value: float) -> None:
            self.first.update_state(value)
            self.second.assign(value)

        def result(self) -> dict[str, Any]:
            return {"first": self.first.result(), "second": self.second.numpy()}

    metric = Pair()
    assert [v.name for v in metric.variables] == ["second", "total", "count"]
    assert metric(2.0) == {"first": 2.0, "second": 2.0}
    metric.reset_state()
    assert metric.result() == {"first": 0.0, "second": 0.0}


def test_copy_and_pickle() -> None:
    metric = Mean()
    metric.update_state([1.0, 2.0])
    for copied in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        copied.update_state([6.0])
        assert float(copied.result()) == 3.0
    assert float(metric.result()) == 1.5


def test_base_class_says_what_is_missing() -> None:
    with pytest.raises(NotImplementedError, match="update_state"):
        Metric().update_state(1)
    with pytest.raises(NotImplementedError, match="result"):
        Metric().result()

    class Hasty(Metric):
        def __init__(self) -> None:
            self.value = keras.Variable(0.0)

    with pytest.raises(RuntimeError, match="super"):
        Hasty()


def test_float64() -> None:
    metric = Mean(dtype="float64")
    metric.update_state(np.array([0.1]))
    assert metric.result().dtype == np.float64
    assert float(metric.result()) == 0.1
    assert metric.variables[0].dtype == "float64"


def test_old_style_add_weight() -> None:
    metric = Metric(name="m")
    variable = metric.add_weight(name="total", initializer="zeros")
    assert (variable.path, variable.shape, variable.numpy()) == ("m/total", (), 0.0)
    assert metric.variables == [variable]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_single_numbers_are_added_as_arrays_of_one_are(dtype: str) -> None:
    one, other = Mean(dtype=dtype), Mean(dtype=dtype)
    numbers = [0.1, np.float64(1 / 3), np.float32(2.7), 1e30, -1e30, 5.0, np.float32(1e-8)]
    for i, number in enumerate(numbers):
        one.update_state(number)
        other.update_state(np.array([number]))
        if i == 4:
            one.total.assign(7.0)
            other.total.assign(7.0)
        assert one.result() == other.result() and type(one.result()) is type(other.result())
        assert one._dk_sum(one.total) == other._dk_sum(other.total)
        assert float(one.count) == i + 1
    for metric in (one, other):
        metric.update_state(float("nan"))
        metric.update_state(1.0)
    assert np.isnan(one.result()) and np.isnan(other.result())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_of_so_many_rows_are_added_as_arrays_are(dtype: str) -> None:
    one, other = Mean(dtype=dtype), Mean(dtype=dtype)
    for number, rows in ((0.1, 64), (np.float64(1 / 3), 17), (np.float32(2.7), 1), (-1e30, 3)):
        one.update_state(number, sample_weight=rows)
        other.update_state(np.array([number]), sample_weight=np.array([rows]))
        assert one.result() == other.result() and type(one.result()) is type(other.result())
        assert one._dk_sum(one.total) == other._dk_sum(other.total)
        assert one._dk_sum(one.count) == other._dk_sum(other.count)
    one.update_state(3e38, sample_weight=64)  # without a warning
    assert float(one.result()) > 1e36


@pytest.mark.parametrize("held", [list, tuple, lambda parts: {"a": parts[0], "b": parts[1:]}])
def test_what_is_held_in_lists_and_dicts_is_part_of_the_state(held: Any) -> None:
    class Own(Sum):
        def __init__(self) -> None:
            super().__init__()
            self.parts = held([keras.Variable(1.0), Mean(), self.total])

    metric = Own()
    assert len(metric.variables) == 4
    metric.variables[1].assign(3.0)
    metric.reset_state()
    assert [float(v) for v in metric.variables] == [0.0] * 4
