"""Calls in users' own steps that are not understood stay in Python."""

from __future__ import annotations

import functools

import pytest
from tests.training.followed_steps import (
    COUNTS,
    DQN,
    EXPERIENCE,
    Compiled,
    Formula,
    LossObject,
    Metrics,
    Tracking,
    X,
    Y,
    assert_close,
    assert_in_python,
    assert_same,
    counted,
    network,
)

import densekit as keras
from densekit import ops

pytestmark = pytest.mark.usefixtures("followed_soon")


class Autoencoder(keras.Model):
    """The code has a gradient from the decoder and one from its size: the plan adds them inside of
    a product, a tape behind it.
    """

    def __init__(self, inputs, outputs):
        super().__init__()
        self.encoder = keras.Model(inputs, outputs)
        self.decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)])

    def train_step(self, x):
        with keras.GradientTape() as tape:
            code = self.encoder(x, training=True)
            loss = ops.mean((x - self.decoder(code)) ** 2) + ops.mean(code**2)
        variables = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"loss": loss}


class Draws(keras.Model):
    def train_step(self, data):
        x, y = data
        x = x + keras.random.normal((10, 4), seed=1)[: len(x)]
        with keras.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - y) ** 2)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


class TooEarly(LossObject):
    """Before its gradient a loss is computed by NumPy, which may round otherwise."""

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - y) ** 2)
        self.tracker.update_state(loss)
        variables = self.trainable_weights
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"huber": self.tracker.result()}


class ClipsGradients(keras.Model):
    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        variables = self.trainable_variables
        gradients = [ops.clip(g, -0.01, 0.01) for g in tape.gradient(loss, variables)]
        self.optimizer.apply(gradients, variables)
        return {"loss": loss}


class ReadsWeights(keras.Model):
    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - y) ** 2)
            loss = loss + 0.1 * ops.sum(self.trainable_variables[0] ** 2)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


class AfterUpdate(keras.Model):
    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - y) ** 2)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        self.compute_metrics(x, y, self(x))
        return {"loss": loss}


class Integers(DQN):
    """Whole numbers times floats are doubles in NumPy."""

    def train_step(self, data):
        states, actions, rewards, after = data[0]
        targets = rewards + (1 - actions) * ops.max(self.slower(after), axis=1)
        with keras.GradientTape() as tape:
            loss = ops.mean((self.worths(states, training=True)[:, 0] - targets) ** 2)
        variables = self.worths.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


class AsksFirst(Tracking):
    def after(self, y, loss, variables):
        before = self.tracker.result()
        self.tracker.update_state(loss)
        return {"huber": before}


@functools.wraps(ops.square)
def counted_square(x):
    COUNTS["steps"] += 1
    return ops.square(x)


class Wraps(keras.Model):
    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = ops.mean(counted_square(self(x, training=True) - y))
        variables = self.trainable_weights
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


class CountsInCall(Tracking):
    def __call__(self, *args, **kwargs):
        COUNTS["steps"] += 1
        return super().__call__(*args, **kwargs)


class OwnResults(Metrics):
    def get_metrics_result(self):
        COUNTS["steps"] += 1
        return super().get_metrics_result()


class CountedDistance:
    def __call__(self, y_true, y_pred):
        return counted(y_true, y_pred)


class OneOfEachRow(LossObject):
    """The gradient of losses is that of their sum."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.measure = keras.losses.Huber(reduction=None)

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = self.measure(y, self(x, training=True))
        self.optimizer.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
        return {"huber": 1.0}


class OwnMetric(keras.metrics.Metric):
    def __init__(self):
        super().__init__(name="calls")
        self.calls = 0

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.calls += 1

    def result(self):
        return float(self.calls)


class SignDescent(keras.optimizers.Optimizer):
    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, learning_rate * ops.sign(gradient))


IN_PYTHON = {
    "random numbers": (Draws, {}),
    "gradients changed": (ClipsGradients, {}),
    "weights in the formula": (ReadsWeights, {}),
    "whole numbers times floats": (Integers, {"data": EXPERIENCE}),
    "a metric of its own": (Metrics, {"compiled": {"metrics": lambda: [OwnMetric()]}}),
    "a metric by a function of its own": (Metrics, {"compiled": {"metrics": lambda: [counted]}}),
    "a penalty": (Compiled, {"make": lambda: network(kernel_regularizer="l2")}),
    "a metric by an object of its own": (
        Metrics,
        {
            "compiled": {
                "metrics": lambda: [keras.metrics.MeanMetricWrapper(CountedDistance(), "own")]
            }
        },
    ),
    "a metric asked before it is updated": (AsksFirst, {}),
    "a loss of each row": (OneOfEachRow, {}),
    "a function that wraps one of ours": (Wraps, {}),
    "a `__call__` of its own": (CountsInCall, {}),
    "results of its own": (OwnResults, {}),
    "a loss of its own": (
        Compiled,
        {"compiled": {"loss": lambda: lambda y, p: ops.mean(ops.abs(y - p), axis=-1)}},
    ),
    "an optimizer of its own": (Compiled, {"compiled": {"optimizer": lambda: SignDescent(0.01)}}),
    "a layer that adds a loss": (
        Formula,
        {"make": lambda: network([keras.layers.ActivityRegularization(l2=0.1)])},
    ),
}


def test_what_is_called_after_the_update_python_calls():
    assert_same(AfterUpdate, compiled={"metrics": lambda: ["mae"]})


@pytest.mark.parametrize(("kind", "data"), [(TooEarly, (X, Y)), (Autoencoder, (X,))])
def test_what_a_plan_adds_in_another_order_is_followed(kind, data):
    assert_close(kind, data=data)


@pytest.mark.parametrize("name", IN_PYTHON)
def test_what_is_not_understood_stays_in_python(name, capsys):
    kind, options = IN_PYTHON[name]
    assert_in_python(kind, capsys, **options)
