"""Models with steps of their own, and how the steps that an engine makes are held to Python's."""

from __future__ import annotations

import numpy as np

import densekit as keras
from densekit import ops
from densekit.training import _recorded_call

RNG = np.random.default_rng(3)
X = RNG.normal(size=(75, 4)).astype("float32")
Y = RNG.normal(size=(75, 2)).astype("float32")
ACTIONS = RNG.integers(2, size=75)
REWARDS = RNG.normal(size=75).astype("float32")
AFTER = RNG.normal(size=(75, 4)).astype("float32")
EXPERIENCE = ((X, ACTIONS, REWARDS, AFTER),)
DISCOUNT = 0.9


def network(inner=(), **options):
    inputs = keras.Input((4,))
    x = keras.layers.Dense(8, "tanh", **options)(inputs)
    for layer in inner:
        x = layer(x)
    return inputs, keras.layers.Dense(2)(x)


def fitted(
    kind, eagerly, make=network, data=(X, Y), compiled=None, changes=None, epochs=3, rows=10
):
    """A model trained by its own step; weights and logs of all epochs."""
    # A formula is computed by NumPy when it is met first, which rounds otherwise.
    _recorded_call._formulas_of.cache_clear()
    keras.utils.set_random_seed(5)
    model = kind(*make())
    compiled = {"optimizer": "adam", "loss": "mse"} | (compiled or {})
    compiled = {k: v() if callable(v) else v for k, v in compiled.items()}
    model.compile(run_eagerly=eagerly, **compiled)
    seen = []
    for epoch in range(epochs):
        if changes is not None:
            changes(model, epoch)
        keras.utils.set_random_seed(epoch)
        x, y, sample_weight, *_ = (*data, None, None)
        history = model.fit(x, y, sample_weight=sample_weight, batch_size=rows, verbose=0)
        seen.append(history.history)
    return model, seen


def reason(model):
    return model.train_function.follower.reason


def assert_same(kind, followed=True, **options):
    """Both ways have the same bits; whether the engine made the steps is as expected."""
    python, seen = fitted(kind, True, **options)
    model, made = fitted(kind, False, **options)
    assert made == seen
    for one, other in zip(model.variables, python.variables, strict=True):
        assert one.numpy().tobytes() == other.numpy().tobytes(), one.path
    for one, other in zip(model.optimizer.variables, python.optimizer.variables, strict=True):
        assert one.numpy().tobytes() == other.numpy().tobytes(), one.path
    assert (reason(model) == "") is followed, reason(model)
    assert python.train_function.follower.reason == "its first steps run in Python"
    return model


def assert_close(kind, **options):
    """Both ways differ by rounding at most, where a plan adds in another order than Python."""
    python, seen = fitted(kind, True, **options)
    model, made = fitted(kind, False, **options)
    assert reason(model) == "", reason(model)
    for one, other in zip(made, seen, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_allclose(one[name], other[name], rtol=2e-3, atol=2e-4)
    for one, other in zip(model.variables, python.variables, strict=True):
        np.testing.assert_allclose(
            one.numpy(), other.numpy(), rtol=2e-3, atol=2e-4, err_msg=one.path
        )
    return model


class Compiled(keras.Model):
    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


class Formula(keras.Model):
    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            y_pred = self(x, training=True)
            error = ops.abs(y - y_pred)
            loss = ops.mean(ops.where(error < 1, error**2 / 2, error - 0.5))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}


class LossObject(keras.Model):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.measure = keras.losses.Huber()
        self.tracker = keras.metrics.Mean(name="huber")

    @property
    def metrics(self):
        return [self.tracker]

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = self.measure(y, self(x, training=True))
        self.optimizer.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
        self.tracker.update_state(loss)
        return {"huber": self.tracker.result()}


class Metrics(keras.Model):
    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
        self.optimizer.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
        return self.compute_metrics(x, y, y_pred)


class DQN(keras.Model):
    """Learns from what a slower network says."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.worths = keras.Model(inputs, outputs)
        self.slower = keras.models.clone_model(self.worths)

    def train_step(self, data):
        states, actions, rewards, after = data[0]
        targets = rewards + DISCOUNT * ops.max(self.slower(after), axis=1)
        with keras.GradientTape() as tape:
            worths = self.worths(states, training=True)
            worth = ops.take_along_axis(worths, actions[:, None], axis=1)[:, 0]
            loss = ops.mean((worth - targets) ** 2)
        variables = self.worths.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


COUNTS = {"steps": 0}


def counted(y_true, y_pred):
    COUNTS["steps"] += 1
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


class Tracking(LossObject):
    """Its weights have the same bits whether or not the rest is understood."""

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - y) ** 2)
        variables = self.trainable_weights
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return self.after(y, loss, variables)

    def after(self, y, loss, variables):
        self.tracker.update_state(loss)
        return {"huber": self.tracker.result()}


def assert_in_python(kind, capsys, **options):
    """Whatever a step does it goes on doing, as often, and with the same bits."""
    COUNTS["steps"] = 0
    python, seen = fitted(kind, True, **options)
    expected, printed = COUNTS["steps"], capsys.readouterr().out
    COUNTS["steps"] = 0
    model, made = fitted(kind, False, **options)
    assert (made, COUNTS["steps"], capsys.readouterr().out) == (seen, expected, printed)
    for one, other in zip(model.variables, python.variables, strict=True):
        assert one.numpy().tobytes() == other.numpy().tobytes(), one.path
    assert vars(model).get("count") == vars(python).get("count")
    assert reason(model) not in ("", "its first steps run in Python")
