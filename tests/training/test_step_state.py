"""Steps without side effects: followed where all new values are handed on, and only there."""

from __future__ import annotations

import pytest
from tests.training.followed_steps import assert_close, assert_in_python, assert_same, network

import densekit as keras
from densekit import ops

pytestmark = pytest.mark.usefixtures("followed_soon")


class Stateless(keras.Model):
    """As in Keras' guide for JAX."""

    def compute_loss_and_updates(self, trainable, other, x, y, training=False):
        y_pred, other = self.stateless_call(trainable, other, x, training=training)
        return self.compute_loss(x, y, y_pred), (y_pred, other)

    def train_step(self, state, data):
        trainable, other, optimizer, metrics = state
        x, y = data
        gradient_of = keras.value_and_grad(self.compute_loss_and_updates, has_aux=True)
        (loss, (y_pred, other)), gradients = gradient_of(trainable, other, x, y, training=True)
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
        logs, after = {}, []
        for metric in self.metrics:
            own = metrics[len(after) : len(after) + len(metric.variables)]
            if metric.name == "loss":
                own = metric.stateless_update_state(own, loss)
            else:
                own = metric.stateless_update_state(own, y, y_pred)
            logs[metric.name] = metric.stateless_result(own)
            after += own
        return logs, (trainable, other, optimizer, after)


class JoinsLists(Stateless):
    """As in Keras' guide, where each metric has variables of its own."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.tracker = keras.metrics.Mean(name="loss")
        self.error = keras.metrics.MeanAbsoluteError(name="mae")

    @property
    def metrics(self):
        return [self.tracker, self.error]

    def train_step(self, state, data):
        trainable, other, optimizer, metrics = state
        x, y = data
        gradient_of = keras.value_and_grad(self.compute_loss_and_updates, has_aux=True)
        (loss, (y_pred, other)), gradients = gradient_of(trainable, other, x, y, training=True)
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
        count = len(self.tracker.variables)
        mean = self.tracker.stateless_update_state(metrics[:count], loss)
        error = self.error.stateless_update_state(metrics[count:], y, y_pred)
        logs = {"loss": self.tracker.stateless_result(mean)}
        logs["mae"] = self.error.stateless_result(error)
        return logs, (trainable, other, optimizer, mean + error)


class Formula(keras.Model):
    def train_step(self, state, data):
        trainable, other, optimizer, metrics = state
        x, y = data

        (loss, other), gradients = keras.value_and_grad(self.loss_of, has_aux=True)(
            trainable, other, x, y
        )
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
        return self.told(loss, (trainable, other, optimizer, metrics), state)

    def loss_of(self, trainable, other, x, y):
        y_pred, other = self.stateless_call(trainable, other, x, training=True)
        return ops.mean(ops.square(y - y_pred)), other

    def told(self, loss, after, before):
        return {"loss": loss}, after


class LossOfState(Formula):
    def train_step(self, state, data):
        trainable, other, optimizer, metrics = state
        x, y = data
        (loss, (other, metrics)), gradients = keras.value_and_grad(self.loss_of, has_aux=True)(
            trainable, other, metrics, x, y
        )
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
        return {"loss": loss}, (trainable, other, optimizer, metrics)

    def loss_of(self, trainable, other, metrics, x, y):
        y_pred, other = self.stateless_call(trainable, other, x, training=True)
        loss, (trainable, other, metrics) = self.stateless_compute_loss(
            trainable, other, metrics, x=x, y=y, y_pred=y_pred, training=True
        )
        return loss, (other, metrics)


class KeepsState(Formula):
    """What the normalization learned is dropped."""

    def told(self, loss, after, before):
        return {"loss": loss}, (after[0], before[1], *after[2:])


class KeepsWeights(Formula):
    def told(self, loss, after, before):
        return {"loss": loss}, (before[0], *after[1:])


class SwapsWeights(Formula):
    def told(self, loss, after, before):
        first, second, *others = after[0]
        return {"loss": loss}, ([first + 0, second, *others], *after[1:])


class ReadsWeights(Formula):
    def loss_of(self, trainable, other, x, y):
        y_pred, other = self.stateless_call(trainable, other, x, training=True)
        return ops.mean(ops.square(y - y_pred)) + 0.1 * ops.sum(trainable[0] ** 2), other


def normalized():
    return network([keras.layers.Dropout(0.3), keras.layers.BatchNormalization()])


FOLLOWED = {
    "Keras' guide": (Stateless, {"compiled": {"metrics": lambda: ["mae"]}}),
    "lists joined": (JoinsLists, {}),
    "a formula": (Formula, {}),
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
}
IN_PYTHON = {
    "state that is dropped": (KeepsState, {"make": normalized}),
    "weights that are dropped": (KeepsWeights, {}),
    "weights that are changed": (SwapsWeights, {}),
    "weights in the formula": (ReadsWeights, {}),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_steps_that_hand_on_all_values_are_followed(name):
    kind, options = FOLLOWED[name]
    assert_same(kind, **options)


# Python computes these by their definitions, which round otherwise.
ROUNDED = {
    "state": (Formula, {"make": normalized}),
    "state and metrics": (
        Stateless,
        {"make": normalized, "compiled": {"metrics": lambda: ["mae"]}},
    ),
    "stateless_compute_loss": (LossOfState, {}),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_steps_with_state_are_followed(name):
    kind, options = ROUNDED[name]
    assert_close(kind, **options)


@pytest.mark.parametrize("name", IN_PYTHON)
def test_others_stay_in_python(name, capsys):
    kind, options = IN_PYTHON[name]
    assert_in_python(kind, capsys, **options)
