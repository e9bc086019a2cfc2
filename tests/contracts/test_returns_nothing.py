"""A user's function that forgets to `return` is a ValueError that names it, in whatever slot."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import densekit as keras

X = np.ones((4, 2), "float32")
Y = np.ones((4, 1), "float32")


def forgetful(*_: Any, **__: Any) -> None:
    """What a user wrote in haste."""


class Forgetful:
    """Every method that a component may have, without a `return`."""

    def call(self, *_: Any, **__: Any) -> None: ...

    def update_state(self, *_: Any, **__: Any) -> None: ...

    def result(self) -> None: ...


class ForgetfulLoss(Forgetful, keras.losses.Loss): ...


class ForgetfulCall(keras.losses.Loss):
    def __call__(self, *_: Any, **__: Any) -> None: ...


class ForgetfulMetric(Forgetful, keras.metrics.Metric): ...


class ForgetfulLayer(Forgetful, keras.layers.Layer): ...


class ForgetfulModel(Forgetful, keras.Model): ...


class ForgetfulSchedule(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step: Any) -> None: ...


class ForgetfulRegularizer(keras.regularizers.Regularizer):
    def __call__(self, x: Any) -> None: ...


class ForgetfulConstraint(keras.constraints.Constraint):
    def __call__(self, w: Any) -> None: ...


class ForgetfulInitializer(keras.initializers.Initializer):
    def __call__(self, shape: Any, dtype: Any = None) -> None: ...


def _fit(
    loss: Any = "mse", optimizer: Any = "sgd", metrics: Any = None, x: Any = X, **dense: Any
) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, **dense)])
    model.compile(optimizer, loss, metrics=metrics)
    model.fit(x, Y, verbose=0)


def _fit_with(*layers: Any) -> None:
    model = keras.Sequential([keras.Input((2,)), *layers])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)


def _fit_model() -> None:
    model = ForgetfulModel()
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)


SLOTS: dict[str, tuple[Callable[[], Any], str]] = {
    "loss function": (lambda: _fit(loss=forgetful), "forgetful"),
    "loss object": (lambda: _fit(loss=ForgetfulLoss()), "ForgetfulLoss"),
    "loss object that is called": (lambda: _fit(loss=ForgetfulCall()), "ForgetfulCall"),
    "loss, called": (lambda: ForgetfulLoss()(Y, Y), "ForgetfulLoss"),
    "metric function": (lambda: _fit(metrics=[forgetful]), "forgetful"),
    "metric object": (lambda: _fit(metrics=[ForgetfulMetric()]), "ForgetfulMetric"),
    "metric, called": (lambda: ForgetfulMetric()(Y, Y), "ForgetfulMetric"),
    "learning rate": (
        lambda: _fit(optimizer=keras.optimizers.SGD(forgetful)),
        "forgetful",
    ),
    "schedule": (
        lambda: _fit(optimizer=keras.optimizers.SGD(ForgetfulSchedule())),
        "ForgetfulSchedule",
    ),
    "learning rate of a step in Python": (
        lambda: keras.optimizers.SGD(forgetful).apply([Y], [keras.Variable(Y)]),
        "forgetful",
    ),
    "activation": (lambda: _fit(activation=forgetful), "forgetful"),
    "activation of a call": (lambda: keras.layers.Dense(1, activation=forgetful)(X), "forgetful"),
    "activation layer": (lambda: keras.layers.Activation(forgetful)(X), "forgetful"),
    "initializer": (lambda: _fit(kernel_initializer=forgetful), "forgetful"),
    "initializer object": (
        lambda: _fit(kernel_initializer=ForgetfulInitializer()),
        "ForgetfulInitializer",
    ),
    "regularizer": (lambda: _fit(kernel_regularizer=forgetful), "forgetful"),
    "regularizer object": (
        lambda: _fit(bias_regularizer=ForgetfulRegularizer()),
        "ForgetfulRegularizer",
    ),
    "activity regularizer": (lambda: _fit(activity_regularizer=forgetful), "forgetful"),
    "activity regularizer of a call": (
        lambda: keras.layers.Dense(1, activity_regularizer=forgetful)(X),
        "forgetful",
    ),
    "constraint": (lambda: _fit(kernel_constraint=forgetful), "forgetful"),
    "constraint object": (
        lambda: _fit(kernel_constraint=ForgetfulConstraint()),
        "ForgetfulConstraint",
    ),
    "constraint of a step in Python": (
        lambda: keras.optimizers.SGD().apply([Y], [keras.Variable(Y, constraint=forgetful)]),
        "forgetful",
    ),
    "model": (_fit_model, "call"),
    "last layer": (lambda: _fit_with(ForgetfulLayer(name="lost")), "None"),
    "layer between": (lambda: _fit_with(ForgetfulLayer(), keras.layers.Dense(1)), "None"),
    "schedule of epochs": (
        lambda: _sequential().fit(
            X, Y, verbose=0, callbacks=[keras.callbacks.LearningRateScheduler(forgetful)]
        ),
        "LearningRateScheduler",
    ),
}


def _sequential() -> Any:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("slot", SLOTS)
def test_it_is_named(slot: str) -> None:
    call, name = SLOTS[slot]
    with pytest.raises(ValueError, match=re.escape(name)):
        call()


@pytest.mark.parametrize("shape", [(), (2,), (2, 3)])
def test_no_variable_takes_none_for_nan(shape: tuple[int, ...]) -> None:
    variable = keras.Variable(np.ones(shape, "float32"))
    with pytest.raises(ValueError, match="None"):
        variable.assign(None)
    assert np.all(variable.numpy() == 1)
    with pytest.raises(ValueError, match="None"):
        keras.Variable(None)


def test_a_learning_rate_of_none_is_refused_and_changes_nothing() -> None:
    model = _sequential()
    with pytest.raises(ValueError, match="None"):
        model.optimizer.learning_rate = None
    assert float(model.optimizer.learning_rate.numpy()) == pytest.approx(0.01)
