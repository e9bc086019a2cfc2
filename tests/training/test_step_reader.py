"""Statements and names of users' own steps that are not understood stay in Python."""

from __future__ import annotations

import numpy as np
import pytest
from tests.training.followed_steps import (
    COUNTS,
    Compiled,
    Metrics,
    Tracking,
    X,
    Y,
    assert_in_python,
    assert_same,
    fitted,
    network,
    reason,
)

import densekit as keras
from densekit import ops

pytestmark = pytest.mark.usefixtures("followed_soon")


FACTORS = {"loss": 2.0}


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


class ListOfOthers(keras.Model):
    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - y) ** FACTORS["loss"])
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


class ListOfItsOwn(keras.Model):
    """Whoever has the list may change it: it is looked at before each chunk of steps."""

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


class ChangesInPlace(Tracking):
    """The metric sees it, too."""

    def after(self, y, loss, variables):
        z = y[:, :1]
        z *= 2
        self.tracker.update_state(y)
        return {"huber": self.tracker.result()}


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


IN_PYTHON = {
    "a counter of the model": (Counts, {}),
    "a counter elsewhere": (CountsElsewhere, {}),
    "it prints": (Prints, {}),
    "float(loss)": (LooksAtLoss, {}),
    "NumPy, super()": (NumPyOnData, {}),
    "an object that is more than its attributes": (ReadsAnObject, {}),
    "rows of the batch": (RowsOfTheBatch, {}),
    "an array changed in place": (ChangesInPlace, {}),
    "an iterator used up": (IteratesTwice, {}),
    "a generator that is not used": (GeneratesNothing, {}),
}


class Noisy(keras.Model):
    """Changes the data, and leaves the rest to the built-in step."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.seeds = keras.random.SeedGenerator(1)
        self.extra = keras.metrics.MeanAbsoluteError(name="extra")

    @property
    def metrics(self):
        return [*super().metrics, self.extra]

    def train_step(self, data):
        x, y = data
        noise = 0.1 * keras.random.normal(ops.shape(x), seed=self.seeds)
        logs = super().train_step((x + noise, y))
        self.extra.update_state(y, self(x, training=False))
        logs["extra"] = self.extra.result()
        return logs


class Mixup(keras.Model):
    """Mixes each row with one of another place."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.seeds = keras.random.SeedGenerator(1)

    def train_step(self, data):
        x, y = data
        share = keras.random.beta((ops.shape(x)[0], 1), 0.4, 0.4, seed=self.seeds)
        x = share * x + (1.0 - share) * ops.flip(x, axis=0)
        logs = super().train_step((x, share * y + (1.0 - share) * ops.flip(y, axis=0)))
        return {**logs, "first": logs["loss"]}


class NamesAllMetrics(Metrics):
    def train_step(self, data):
        return super().train_step(data)


FOLLOWED = {
    "a list of variables": (ListOfVariables, {}),
    "two updates": (TwoUpdates, {}),
    "the built-in step on other data": (Noisy, {"compiled": {"metrics": lambda: ["mae"]}}),
    "rows in other places": (Mixup, {"compiled": {"metrics": lambda: ["mae"]}}),
    "a step of the class before": (NamesAllMetrics, {"compiled": {"metrics": lambda: ["mae"]}}),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_these_are_followed(name):
    kind, options = FOLLOWED[name]
    assert_same(kind, **options)


CHANGED = {
    "an entry of a dict": (ListOfOthers, lambda model: FACTORS.update(loss=4.0)),
    "a list of its own": (ListOfItsOwn, lambda model: model.powers.append(2)),
}


@pytest.mark.parametrize("name", CHANGED)
def test_lists_and_dicts_are_looked_at_again(name):
    kind, change = CHANGED[name]
    found = []
    for eagerly in (True, False):
        FACTORS["loss"] = 2.0
        model, seen = fitted(kind, eagerly)
        known = reason(model)
        change(model)
        model.fit(X, Y, batch_size=10, shuffle=False, verbose=0)
        found.append((seen, [w.tolist() for w in model.get_weights()]))
    FACTORS["loss"] = 2.0
    assert known == ""
    assert found[0] == found[1]


@pytest.mark.parametrize("name", IN_PYTHON)
def test_what_is_not_understood_stays_in_python(name, capsys):
    kind, options = IN_PYTHON[name]
    assert_in_python(kind, capsys, **options)


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
