"""Callbacks that set the learning rate set that of each optimizer of a `MultiOptimizer`."""

from __future__ import annotations

import numpy as np
import pytest

import densekit as keras

X = np.ones((4, 2))


def model_of_two_rates() -> keras.Model:
    first, second = (keras.layers.Dense(1, name=name) for name in ("first", "second"))
    model = keras.Sequential([keras.Input((2,)), first, second])
    optimizers = keras.optimizers.OptimizerMap(
        keras.optimizers.SGD(0.01, name="slow"),
        {"first/.*": keras.optimizers.SGD(0.1, name="fast")},
    )
    model.compile(keras.optimizers.MultiOptimizer(optimizers), "mse")
    return model


def rates(model: keras.Model) -> dict[str, float]:
    return {o.name: float(o.learning_rate.value) for o in model.optimizer.optimizers}


def test_a_schedule_is_that_of_each_optimizer(capsys: pytest.CaptureFixture[str]) -> None:
    model = model_of_two_rates()
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2, verbose=1)
    history = model.fit(X, X[:, 0], epochs=2, verbose=0, callbacks=[halve]).history
    assert rates(model) == pytest.approx({"fast": 0.025, "slow": 0.0025})
    assert history["learning_rate_fast"] == pytest.approx([0.05, 0.025])
    assert history["learning_rate_slow"] == pytest.approx([0.005, 0.0025])
    assert "setting fast learning rate to 0.05" in capsys.readouterr().out


def test_a_plateau_lowers_each_rate_down_to_the_bound() -> None:
    model = model_of_two_rates()
    lower = keras.callbacks.ReduceLROnPlateau(
        "loss", factor=0.1, patience=1, min_lr=0.005, min_delta=1e9
    )
    history = model.fit(X, X[:, 0], epochs=4, verbose=0, callbacks=[lower]).history
    assert rates(model) == pytest.approx({"fast": 0.005, "slow": 0.005})
    assert history["learning_rate_fast"][0] == pytest.approx(0.1)
