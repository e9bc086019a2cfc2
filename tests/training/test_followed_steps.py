"""Users' own steps that an engine makes: the bits of Python, and Python where it has to be."""

from __future__ import annotations

import copy
import functools

import numpy as np
import pytest

import densekit as keras
from densekit import ops
from densekit.training import _followed_step, _step_follower

RNG = np.random.default_rng(3)
X = RNG.normal(size=(75, 4)).astype("float32")
Y = RNG.normal(size=(75, 2)).astype("float32")
ACTIONS = RNG.integers(2, size=75)
REWARDS = RNG.normal(size=75).astype("float32")
AFTER = RNG.normal(size=(75, 4)).astype("float32")
DISCOUNT = 0.9
FACTORS = {"loss": 2.0}
COUNTS = {"steps": 0}


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Steps are followed after the first two, and the two that are made both ways."""
    monkeypatch.setattr(_step_follower, "FIRST_STEPS", 2)
    monkeypatch.setattr(_step_follower, "TRIED_STEPS", 2)
    monkeypatch.setattr(_step_follower, "TRIED_ROWS", 2)


def network(inner=(), **options):
    inputs = keras.Input((4,))
    x = keras.layers.Dense(8, "tanh", **options)(inputs)
    for layer in inner:
        x = layer(x)
    return inputs, keras.layers.Dense(2)(x)


def fitted(kind, eagerly, make=network, data=(X, Y), compiled=None, changes=None, epochs=3):
    """A model trained by its own step; weights and logs of all epochs."""
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
        seen.append(model.fit(*data, batch_size=10, verbose=0).history)
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


class OfFunctions(keras.Model):
    scale = 0.5

    def error(self, y, y_pred, power=2):
        return self.scale * (y - y_pred) ** power

    def train_step(self, data):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        with keras.GradientTape(persistent=True) as tape:
            error = self.error(y, y_pred=self(x, training=True))
            if self.scale > 0:
                error = -error if self.scale is None else error
            loss = ops.sum(error)
        self.optimizer.apply(tape.gradient(loss, self.trainable_weights))
        return self.compute_metrics(x, y, None) if self.scale < 0 else {"loss": loss, "one": 1}


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


class TwoTerms(keras.Model):
    """Each is reported."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.total = keras.metrics.Mean(name="loss")
        self.first = keras.metrics.Mean(name="error")
        self.second = keras.metrics.Mean(name="size")

    @property
    def metrics(self):
        return [self.total, self.first, self.second]

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            y_pred = self(x, training=True)
            error = ops.mean(ops.sum(ops.square(y - y_pred), axis=1))
            size = 0.1 * ops.sum(ops.abs(y_pred)) / 3 - 1
            loss = error + size
        variables = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        for tracker, value in zip(self.metrics, (loss, error, size), strict=True):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self.metrics}


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


class DoubleDQN(DQN):
    def train_step(self, data):
        states, actions, rewards, after = data[0]
        best = ops.argmax(self.worths(after), axis=1)
        found = ops.take_along_axis(self.slower(after), best[:, None], axis=1)[:, 0]
        targets = rewards + DISCOUNT * found
        with keras.GradientTape() as tape:
            worths = self.worths(states, training=True)
            worth = ops.take_along_axis(worths, actions[:, None], axis=1)[:, 0]
            loss = ops.mean(ops.square(worth - targets))
        variables = self.worths.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


def renamed(step):
    @functools.wraps(step)
    def decorated(self, batch, name="huber"):
        logs = step(self, batch)
        return {name: logs["loss"]}

    return decorated


class Decorated(keras.Model):
    train_step = renamed(Compiled.train_step)


EXPERIENCE = ((X, ACTIONS, REWARDS, AFTER),)
FOLLOWED = {
    "compute_loss": (Compiled, {}),
    "outputs in a list": (Compiled, {"make": lambda: [[end] for end in network()]}),
    "cross-entropy": (
        Compiled,
        {
            "data": (X, ACTIONS),
            "compiled": {
                "loss": lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            },
        },
    ),
    "formula, metrics by hand": (Formula, {"compiled": {"metrics": lambda: ["mae"]}}),
    "methods, sum": (OfFunctions, {}),
    "a loss object, a metric of its own": (LossObject, {}),
    "compute_metrics": (Metrics, {"compiled": {"metrics": lambda: ["mae", "mse"]}}),
    "a decorated step": (Decorated, {}),
    "two terms": (TwoTerms, {}),
    "second network": (DQN, {"data": EXPERIENCE}),
    "double": (DoubleDQN, {"data": EXPERIENCE}),
    "dropout, normalization": (
        Formula,
        {"make": lambda: network([keras.layers.Dropout(0.3), keras.layers.BatchNormalization()])},
    ),
    "schedule": (
        Formula,
        {
            "compiled": {
                "optimizer": lambda: keras.optimizers.SGD(
                    keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5), momentum=0.9
                )
            }
        },
    ),
    "options of the optimizer": (
        Formula,
        {
            "compiled": {
                "optimizer": lambda: keras.optimizers.AdamW(
                    0.01, weight_decay=0.1, global_clipnorm=0.3, use_ema=True
                )
            }
        },
    ),
    "accumulated gradients": (
        Formula,
        {"compiled": {"optimizer": lambda: keras.optimizers.Adam(gradient_accumulation_steps=2)}},
    ),
    "constraint": (Formula, {"make": lambda: network(kernel_constraint="non_neg")}),
    "several steps a call": (Compiled, {"compiled": {"steps_per_execution": 2}}),
    "rows that lie apart": (
        Formula,
        {"data": (np.repeat(X, 2, axis=1)[:, ::2], np.asfortranarray(Y))},
    ),
    "bytes the other way round": (Formula, {"data": (X.astype(">f4"), Y)}),
    "doubles, which the step gets as floats": (
        Formula,
        {"data": (X.astype("float64"), Y.astype("float64"))},
    ),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_followed_steps_have_the_bits_of_python(name):
    kind, options = FOLLOWED[name]
    assert_same(kind, **options)


class Counts(Compiled):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.count = 0

    def train_step(self, data):
        self.count += 1
        return Compiled.train_step(self, data)


class CountsElsewhere(Compiled):
    def train_step(self, data):
        COUNTS["steps"] += 1
        return Compiled.train_step(self, data)


class Prints(Compiled):
    def train_step(self, data):
        print("step")
        return Compiled.train_step(self, data)


class LooksAtLoss(Compiled):
    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        variables = self.trainable_variables
        gradients = tape.gradient(loss, variables)
        if float(loss) > 1:
            self.optimizer.apply(gradients, variables)
        return {"loss": loss}


class NumPyOnData(Compiled):
    def train_step(self, data):
        x, y = data
        return super().train_step((np.tanh(x), y))


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
    """Before its gradient a loss is computed by NumPy."""

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


class ListOfOthers(keras.Model):
    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - y) ** FACTORS["loss"])
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


class ListOfItsOwn(keras.Model):
    """Whoever has the list may change it."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.powers = [2]

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            error = self(x, training=True) - y
            for power in self.powers:
                error = error**power
            loss = ops.mean(error)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


class ListOfVariables(keras.Model):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.learned = [*self.trainable_variables]

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - y) ** 2)
        self.optimizer.apply(tape.gradient(loss, self.learned), self.learned)
        return {"loss": loss}


class Reading:
    """An object whose attributes are more than what is kept."""

    def __getattribute__(self, name):
        COUNTS["steps"] += name == "power"
        return object.__getattribute__(self, name)


class ReadsAnObject(keras.Model):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.settings = Reading()
        self.settings.power = 2

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - y) ** self.settings.power)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


class TwoUpdates(keras.Model):
    def train_step(self, data):
        x, y = data
        for _ in (1, 2):
            with keras.GradientTape() as tape:
                loss = ops.mean((self(x, training=True) - y) ** 2)
            variables = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


class RowsOfTheBatch(keras.Model):
    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = ops.sum((self(x, training=True) - y) ** 2) / ops.shape(x)[0]
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
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


class ChangesInPlace(Tracking):
    """The metric sees it, too."""

    def after(self, y, loss, variables):
        z = y[:, :1]
        z *= 2
        self.tracker.update_state(y)
        return {"huber": self.tracker.result()}


class AsksFirst(Tracking):
    def after(self, y, loss, variables):
        before = self.tracker.result()
        self.tracker.update_state(loss)
        return {"huber": before}


class IteratesTwice(Tracking):
    def after(self, y, loss, variables):
        each = zip((1, 2), variables, strict=False)
        for _ in each:
            pass
        for _ in each:
            self.tracker.update_state(loss)
        return {"huber": self.tracker.result()}


class GeneratesNothing(Tracking):
    def after(self, y, loss, variables):
        (tracker.update_state(loss) for tracker in (self.tracker,))
        return {"huber": self.tracker.result()}


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


def counted(y_true, y_pred):
    COUNTS["steps"] += 1
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


IN_PYTHON = {
    "a counter of the model": (Counts, {}),
    "a counter elsewhere": (CountsElsewhere, {}),
    "it prints": (Prints, {}),
    "float(loss)": (LooksAtLoss, {}),
    "NumPy, super()": (NumPyOnData, {}),
    "random numbers": (Draws, {}),
    "a metric of the loss before its gradient": (TooEarly, {}),
    "other bits": (Autoencoder, {"data": (X,)}),
    "gradients changed": (ClipsGradients, {}),
    "weights in the formula": (ReadsWeights, {}),
    "a call after the update": (AfterUpdate, {}),
    "an entry of a dict": (ListOfOthers, {}),
    "a list of its own": (ListOfItsOwn, {}),
    "a list of variables": (ListOfVariables, {}),
    "an object that is more than its attributes": (ReadsAnObject, {}),
    "two updates": (TwoUpdates, {}),
    "rows of the batch": (RowsOfTheBatch, {}),
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
    "an array changed in place": (ChangesInPlace, {}),
    "a metric asked before it is updated": (AsksFirst, {}),
    "an iterator used up": (IteratesTwice, {}),
    "a generator that is not used": (GeneratesNothing, {}),
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


@pytest.mark.parametrize("name", IN_PYTHON)
def test_what_is_not_understood_stays_in_python(name, capsys):
    kind, options = IN_PYTHON[name]
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


def test_a_counter_goes_on_counting():
    model, _ = fitted(Counts, False)
    assert model.count == 24
    assert "self.count" in reason(model)


def step_line(model, **options):
    lines = model.explain_plan(**options).splitlines()
    return [" ".join(line.split()) for line in lines if line.startswith("  train_step")]


def test_plans_say_whether_the_step_is_native():
    model = Compiled(*network())
    assert step_line(model) == ["train_step Python: it has not run yet"]
    model, _ = fitted(Compiled, False)
    assert step_line(model) == ["train_step native"]
    assert step_line(model, training=False) == []
    model.run_eagerly = True
    assert step_line(model) == ["train_step Python: `run_eagerly=True`"]
    model, _ = fitted(Counts, False)
    assert step_line(model) == ["train_step Python: it has `self.count += 1`"]
    plain, _ = fitted(keras.Model, False)
    assert step_line(plain) == []


def test_sample_weights_stay_in_python():
    weights = RNG.uniform(size=75).astype("float32")

    class Weighted(keras.Model):
        def train_step(self, data):
            x, y, w = data
            with keras.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x, training=True), w)
            variables = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"loss": loss}

    found = []
    for eagerly in (True, False):
        keras.utils.set_random_seed(5)
        model = Weighted(*network())
        model.compile("adam", "mse", run_eagerly=eagerly)
        keras.utils.set_random_seed(5)
        model.fit(X, Y, sample_weight=weights, epochs=2, batch_size=10, verbose=0)
        found.append(model.get_weights())
    assert "without weights" in reason(model)
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))


def set_rate(model, epoch):
    model.optimizer.learning_rate = 0.1 / (epoch + 1)


def set_clipping(model, epoch):
    model.optimizer.clipnorm = 0.1 * epoch or None


def freeze(model, epoch):
    model.layers[1].trainable = epoch != 1


def freeze_variable(model, epoch):
    model.layers[1].kernel.trainable = epoch != 1


def set_weights(model, epoch):
    model.set_weights([w * 0.5 for w in model.get_weights()])


def set_attribute(model, epoch):
    model.power = 2 + epoch


def set_global(model, epoch):
    global POWER
    POWER = 2 + epoch


def set_delta(model, epoch):
    model.measure.delta = 0.1 + epoch


def compile_anew(model, epoch):
    model.compile(keras.optimizers.SGD(0.1), "mae", run_eagerly=model.run_eagerly)


def set_penalty(model, epoch):
    model.layers[1].kernel.regularizer = keras.regularizers.L2(0.1) if epoch == 2 else None


def set_constraint(model, epoch):
    model.layers[1].kernel.constraint = NON_NEGATIVE if epoch == 2 else None


def set_reduction(model, epoch):
    model.measure.reduction = "sum" if epoch == 2 else "sum_over_batch_size"


def set_all_attributes(model, epoch):
    model.settings.__dict__ = {"power": 2 + epoch}


def set_class(model, epoch):
    model.settings.__class__ = Cubes if epoch == 2 else Squares


def set_attribute_of_class(model, epoch):
    Squares.power = 2 + epoch


def set_default(model, epoch):
    Powers.error.__defaults__ = (2 + epoch,)


POWER = 2
NON_NEGATIVE = keras.constraints.NonNeg()


class Squares:
    power = 2


class Cubes:
    power = 3


class OfSettings(ReadsAnObject):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.settings = Squares()


class Powers(keras.Model):
    power = 2

    def error(self, y, y_pred, more=1):
        return (y - y_pred) ** more

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            y_pred = self(x, training=True)
            error = (y_pred - y) ** self.power + (y_pred - y) ** POWER + self.error(y, y_pred)
            loss = ops.mean(error)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


CHANGES = {
    "rate": (Compiled, set_rate),
    "clipping": (Compiled, set_clipping),
    "layer frozen": (Compiled, freeze),
    "variable frozen": (Compiled, freeze_variable),
    "weights": (Compiled, set_weights),
    "attribute": (Powers, set_attribute),
    "global": (Powers, set_global),
    "default of an argument": (Powers, set_default),
    "number of a loss": (LossObject, set_delta),
    "compile": (Compiled, compile_anew),
    "constraint": (Compiled, set_constraint),
    "reduction of a loss": (LossObject, set_reduction),
    "all attributes of an object": (OfSettings, set_all_attributes),
    "class of an object": (OfSettings, set_class),
    "attribute of a class": (OfSettings, set_attribute_of_class),
    "penalty": (Compiled, set_penalty),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_between_epochs_count(name):
    kind, changes = CHANGES[name]
    python, seen = fitted(kind, True, changes=changes, epochs=4)
    model, made = fitted(kind, False, changes=changes, epochs=4)
    assert made == seen
    for one, other in zip(model.variables, python.variables, strict=True):
        assert one.numpy().tobytes() == other.numpy().tobytes(), one.path


def test_callbacks_see_each_batch_and_may_change_things():
    class Changes(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.losses = []

        def on_train_batch_end(self, batch, logs=None):
            self.losses.append(logs["huber"])
            if batch == 4:
                self.model.optimizer.learning_rate = 0.5
            if batch == 5:
                self.model.layers[1].trainable = False

    found = []
    for eagerly in (True, False):
        keras.utils.set_random_seed(1)
        model = LossObject(*network())
        model.compile("adam", run_eagerly=eagerly)
        keras.utils.set_random_seed(1)
        changes = Changes()
        model.fit(X, Y, batch_size=10, verbose=0, callbacks=[changes])
        found.append((changes.losses, [w.tolist() for w in model.get_weights()]))
    assert found[0] == found[1]
    assert len(found[0][0]) == 8


def test_larger_batches_than_of_one_row_are_tried_anew():
    found = []
    for eagerly in (True, False):
        keras.utils.set_random_seed(1)
        model = Compiled(*network())
        model.compile("adam", "mse", run_eagerly=eagerly)
        for i in range(6):
            model.train_on_batch(X[i : i + 1], Y[i : i + 1])
        alone = reason(model)
        model.train_on_batch(X[:5], Y[:5])
        found.append((alone, reason(model), model.get_weights()))
    assert found[1][:2] == ("", "it was tried with one row only")
    assert all(map(np.array_equal, found[0][2], found[1][2]))


def test_a_rule_that_rounds_otherwise_now_and_then_is_found(monkeypatch):
    """The second of the steps that are made both ways has another bit."""
    train, calls = _followed_step.FollowedStep.train, []

    def rounds(self, chunk, columns):
        calls.append(chunk)
        ends, rooms = train(self, chunk, columns)
        return (np.nextafter(ends, np.float32(9)) if len(calls) == 2 else ends), rooms

    monkeypatch.setattr(_followed_step.FollowedStep, "train", rounds)
    model, _ = fitted(Compiled, False)
    assert (len(calls), reason(model)) == (2, "the engine computes other bits")


def of_a_cell():
    power = 2

    def delete():
        nonlocal power
        del power

    class OfCell(keras.Model):
        def train_step(self, data):
            x, y = data
            with keras.GradientTape() as tape:
                loss = ops.mean((self(x, training=True) - y) ** power)
            variables = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"loss": loss}

    return OfCell, delete


def test_an_engine_that_fails_leaves_the_step_in_python(monkeypatch):
    def fails(self):
        raise TypeError("no such engine")

    monkeypatch.setattr(_followed_step.StepCalls, "forget_nodes", fails)
    model, seen = fitted(Compiled, False)
    assert (len(seen), reason(model)) == (3, "it cannot be followed: no such engine")


def test_a_variable_around_the_step_may_be_deleted():
    kind, delete = of_a_cell()
    model, _ = fitted(kind, False)
    assert reason(model) == ""
    delete()
    with pytest.raises(NameError, match="power"):
        model.fit(X, Y, batch_size=10, verbose=0)


def test_run_eagerly_turns_it_off():
    model, _ = fitted(Compiled, False)
    calls = []
    model.run_eagerly = True
    model.train_function.follower._step = lambda data: calls.append(1) or {"loss": 0.0}
    model.fit(X, Y, batch_size=10, verbose=0)
    assert len(calls) == 8


def test_single_batches_and_generators_are_followed():
    found = []
    for eagerly in (True, False):
        keras.utils.set_random_seed(1)
        model = LossObject(*network())
        model.compile("adam", run_eagerly=eagerly)
        logs = [model.train_on_batch(X[i : i + 9], Y[i : i + 9]) for i in range(0, 60, 5)]
        batches = [(X[i : i + 7], Y[i : i + 7]) for i in range(0, 75, 7)]
        logs.append(model.fit(iter(batches), steps_per_epoch=10, verbose=0).history)
        found.append((logs, [w.tolist() for w in model.get_weights()]))
    assert found[0] == found[1]
    assert reason(model) == ""


def test_losses_that_are_not_finite_are_said_as_in_python():
    x = X.copy()
    for eagerly in (True, False):
        keras.utils.set_random_seed(1)
        model = Compiled(*network())
        model.compile("adam", "mse", run_eagerly=eagerly)
        model.fit(X, Y, batch_size=10, verbose=0)
        x[33] = np.nan
        with pytest.warns(RuntimeWarning, match="row 33"):
            model.fit(x, Y, batch_size=10, verbose=0, shuffle=False)


class CountsCalls(keras.Model):
    """A model whose `call` was followed once when it was built."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.inner, self.calls = keras.layers.Dense(2), 0

    def call(self, x):
        self.calls += 1
        return self.inner(x)

    train_step = Compiled.train_step


def test_following_calls_no_model_again():
    python, _ = fitted(CountsCalls, True)
    model, _ = fitted(CountsCalls, False)
    assert reason(model) == ""
    assert model.calls == python.calls


def test_following_leaves_no_calls_behind():
    model, _ = fitted(DQN, False, data=EXPERIENCE)
    assert reason(model) == ""
    for network_ in (model.worths, model.slower):
        for layer in network_.layers:
            assert len(layer._inbound_nodes) == 1


def test_a_model_that_follows_can_be_copied():
    model, _ = fitted(Compiled, False)
    other = copy.deepcopy(model)
    for one in (model, other):
        one.fit(X, Y, batch_size=10, verbose=0, shuffle=False)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_a_trial_that_fails_leaves_things_as_they_were(monkeypatch):
    train = _followed_step.FollowedStep.train

    def fails(self, chunk, columns):
        train(self, chunk, columns)
        raise MemoryError

    python, seen = fitted(Formula, True)
    monkeypatch.setattr(_followed_step.FollowedStep, "train", fails)
    model, made = fitted(Formula, False)
    assert made == seen
    assert reason(model) == "the engine computes other bits"
    assert all(map(np.array_equal, model.get_weights(), python.get_weights()))
