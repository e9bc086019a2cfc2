"""Schedules at their corners."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit.optimizers import schedules


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ExponentialDecay", {"decay_steps": 0, "decay_rate": 0.5}),
        ("InverseTimeDecay", {"decay_steps": -1, "decay_rate": 0.5}),
        ("PolynomialDecay", {"decay_steps": 0}),
        ("CosineDecay", {"decay_steps": 0}),
        ("CosineDecayRestarts", {"first_decay_steps": 0}),
    ],
)
def test_no_decay_without_time(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=name):
        getattr(schedules, name)(0.1, **arguments)


def test_piecewise_arguments() -> None:
    with pytest.raises(ValueError, match="one more value"):
        schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2])
    with pytest.raises(ValueError, match="increasing"):
        schedules.PiecewiseConstantDecay([2, 1], [0.1, 0.2, 0.3])


def test_integers_are_rates_too() -> None:
    schedule = schedules.CosineDecay(0, 10, warmup_target=1, warmup_steps=4)
    assert [float(schedule(step)) for step in (0, 1, 4)] == [0.0, 0.25, 1.0]


def test_warmup_of_no_steps() -> None:
    schedule = schedules.CosineDecay(0.0, 10, warmup_target=1.0, warmup_steps=0)
    assert float(schedule(0)) == 1.0


@pytest.mark.parametrize("t_mul", [1.0, 2.0, 3.0, 1.5])
def test_restarts_fall_on_their_step(t_mul: float) -> None:
    schedule = schedules.CosineDecayRestarts(1.0, 4, t_mul=t_mul)
    starts = np.cumsum([0.0] + [4 * t_mul**run for run in range(7)])
    whole = starts[starts == np.round(starts)]
    assert len(whole) >= 3
    assert schedule(whole).tolist() == [1.0] * len(whole)


def test_steps_may_be_variables_and_arrays() -> None:
    schedule = schedules.ExponentialDecay(1.0, 1, 0.5)
    step = keras.Variable(3, dtype="int32")
    assert float(schedule(step)) == 0.125
    assert schedule(np.array([0, 3])).tolist() == [1.0, 0.125]
    assert np.shape(schedule(3)) == ()


def test_float64_rates() -> None:
    keras.config.set_floatx("float64")
    try:
        assert float(schedules.InverseTimeDecay(0.1, 3, 0.7)(1)) == 0.1 / (1 + 0.7 / 3)
    finally:
        keras.config.set_floatx("float32")


def test_own_schedule_goes_round() -> None:
    @keras.saving.register_keras_serializable(package="tests")
    class Mine(schedules.LearningRateSchedule):
        def __init__(self, rate: float) -> None:
            self.rate = rate

        def __call__(self, step: Any) -> float:
            return self.rate

        def get_config(self) -> dict[str, Any]:
            return {"rate": self.rate}

    optimizer = keras.optimizers.SGD(Mine(0.5))
    revived = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert float(revived.learning_rate) == 0.5


def test_base_class_says_what_is_missing() -> None:
    schedule = schedules.LearningRateSchedule()
    with pytest.raises(NotImplementedError, match="__call__"):
        schedule(0)
    with pytest.raises(NotImplementedError, match="get_config"):
        schedule.get_config()
