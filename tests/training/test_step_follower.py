"""Steps are made both ways before an engine takes over."""

from __future__ import annotations

import numpy as np
import pytest
from tests.training.followed_steps import (
    Compiled,
    Formula,
    LossObject,
    X,
    Y,
    fitted,
    network,
    reason,
)

import densekit as keras
from densekit.training import _followed_phase, _followed_step

pytestmark = pytest.mark.usefixtures("followed_soon")


def test_run_eagerly_turns_it_off():
    model, _ = fitted(Compiled, False)
    calls = []
    model.run_eagerly = True
    model.train_function.follower._step = lambda data: calls.append(1) or {"loss": 0.0}
    model.fit(X, Y, batch_size=10, verbose=0)
    assert len(calls) == 8


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


def test_a_rule_that_is_wrong_now_and_then_is_found(monkeypatch):
    """The second of the steps that are made both ways has another loss."""
    train, calls = _followed_phase.FollowedPhase.train, []

    def errs(self, chunk, columns):
        calls.append(chunk)
        ends, rooms = train(self, chunk, columns)
        return (ends + np.float32(0.01) if len(calls) == 2 else ends), rooms

    monkeypatch.setattr(_followed_phase.FollowedPhase, "train", errs)
    model, _ = fitted(Compiled, False)
    assert (len(calls), reason(model)) == (2, "the engine computes other numbers")


def test_an_engine_that_fails_leaves_the_step_in_python(monkeypatch):
    def fails(self):
        raise TypeError("no such engine")

    monkeypatch.setattr(_followed_step.StepCalls, "forget_nodes", fails)
    model, seen = fitted(Compiled, False)
    assert (len(seen), reason(model)) == (3, "it cannot be followed: no such engine")


def test_a_trial_that_fails_leaves_things_as_they_were(monkeypatch):
    train = _followed_phase.FollowedPhase.train

    def fails(self, chunk, columns):
        train(self, chunk, columns)
        raise MemoryError

    python, seen = fitted(Formula, True)
    monkeypatch.setattr(_followed_phase.FollowedPhase, "train", fails)
    model, made = fitted(Formula, False)
    assert made == seen
    assert reason(model) == "the engine computes other numbers"
    assert all(map(np.array_equal, model.get_weights(), python.get_weights()))


class CountsSteps(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self):
        self.calls = 0

    def __call__(self, step):
        self.calls += 1
        return 0.01 / (1 + self.calls)


@pytest.mark.parametrize("kind", ["schedule", "function"])
def test_own_learning_rates_are_asked_once_a_step(kind):
    found = []
    for eagerly in (True, False):
        schedule = CountsSteps()
        rate = schedule if kind == "schedule" else lambda s=schedule: s(0)
        optimizer = keras.optimizers.SGD(rate)
        model, seen = fitted(Compiled, eagerly, compiled={"optimizer": optimizer})
        found.append((seen, schedule.calls))
    assert found[0] == found[1]
    assert found[0][1] == 24
    assert reason(model) == ""


def test_metrics_are_compared(monkeypatch):
    """The rule for what a metric is given may be wrong, too."""
    run = _followed_step.FollowedStep.run

    def misses(self, chunk, columns):
        logs, losses = run(self, chunk, columns)
        self._model.tracker.update_state(1.0)
        return logs, losses

    _, seen = fitted(LossObject, True)
    monkeypatch.setattr(_followed_step.FollowedStep, "run", misses)
    model, made = fitted(LossObject, False)
    assert (made, reason(model)) == (seen, "the engine computes other numbers")


def test_a_model_without_call_says_how_its_parts_and_its_step_run():
    class Trains(keras.Model):
        def __init__(self):
            super().__init__()
            self.net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, name="inner")])

        def train_step(self, data):
            x, y = data
            with keras.GradientTape() as tape:
                loss = keras.ops.mean((self.net(x, training=True) - y) ** 2)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return {"l": loss}

    model = Trains()
    model.compile("sgd")
    model.fit(np.ones((8, 4)), np.ones((8, 1)), verbose=0)
    lines = model.explain_plan().split("\n")
    assert lines[1].split() == ["inner", "native"]
    assert lines[2].startswith("  train_step  Python: its first steps")
