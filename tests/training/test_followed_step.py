"""Users' own steps that an engine makes have the bits of Python."""

from __future__ import annotations

import copy
import functools

import numpy as np
import pytest
from tests.training.followed_steps import (
    ACTIONS,
    DISCOUNT,
    DQN,
    EXPERIENCE,
    RNG,
    Compiled,
    Formula,
    LossObject,
    Metrics,
    X,
    Y,
    assert_same,
    fitted,
    network,
    reason,
)

import densekit as keras
from densekit import ops

pytestmark = pytest.mark.usefixtures("followed_soon")


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


class TargetWithin(keras.Model):
    """Its target network is a part of it, frozen."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.worths = keras.Model(inputs, outputs)
        self.slower = keras.models.clone_model(self.worths)
        self.slower.trainable = False

    def call(self, states, training=None):
        return self.worths(states, training=training)

    def train_step(self, data):
        states, (actions, rewards, after) = data
        targets = rewards + DISCOUNT * ops.max(self.slower(after), axis=1)
        with keras.GradientTape() as tape:
            worths = self(states, training=True)
            worth = ops.take_along_axis(worths, actions[:, None], axis=1)[:, 0]
            loss = ops.mean(ops.square(worth - targets))
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}

    @staticmethod
    def catch_up(model, epoch):
        if epoch:
            model.slower.set_weights(model.worths.get_weights())


def renamed(step):
    @functools.wraps(step)
    def decorated(self, batch, name="huber"):
        logs = step(self, batch)
        return {name: logs["loss"]}

    return decorated


class Decorated(keras.Model):
    train_step = renamed(Compiled.train_step)


class Weighted(keras.Model):
    def train_step(self, data):
        if len(data) == 3:
            x, y, sample_weight = data
        else:
            sample_weight = None
            x, y = data
        with keras.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred, sample_weight=sample_weight)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred, sample_weight=sample_weight)
        return {m.name: m.result() for m in self.metrics}


class WeightedByHand(LossObject):
    def train_step(self, data):
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        with keras.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.measure(y, y_pred, sample_weight=weights)
            loss += ops.mean(weights * ops.mean(ops.square(y - y_pred), axis=-1))
        variables = self.trainable_weights
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        self.tracker.update_state(loss)
        return {"huber": self.tracker.result()}


class Sampling(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(7)

    def call(self, inputs):
        mean, log_variance = inputs
        noise = keras.random.normal(ops.shape(mean), seed=self.seeds)
        return mean + ops.exp(0.5 * log_variance) * noise


class VAE(TwoTerms):
    """As in Keras' guide."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        heads = [keras.layers.Dense(2)(outputs) for _ in range(2)]
        self.encoder = keras.Model(inputs, [*heads, Sampling()(heads)])
        self.decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, "sigmoid")])

    def train_step(self, data):
        with keras.GradientTape() as tape:
            mean, log_variance, z = self.encoder(data)
            rebuilt = self.decoder(z)
            error = ops.mean(keras.losses.binary_crossentropy(data, rebuilt))
            each = -0.5 * (1 + log_variance - ops.square(mean) - ops.exp(log_variance))
            size = ops.mean(ops.sum(each, axis=1))
            loss = error + size
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        for tracker, value in zip(self.metrics, (loss, error, size), strict=True):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self.metrics}


class Draws(keras.Model):
    """From one generator, several times; some draws are not used."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.seeds = keras.random.SeedGenerator(3)
        self.scale = np.array([1, 2, 0.5, 1], "float32")
        self.codes = 4

    def train_step(self, data):
        x, y = data
        rows = ops.shape(x)[0]
        keras.random.uniform((rows, 3), seed=self.seeds)
        noise = keras.random.normal(ops.shape(x), seed=self.seeds)
        more = keras.random.uniform((rows, self.codes), -1.0, 1.0, seed=self.seeds)
        with keras.GradientTape() as tape:
            noisy = (x + 0.1 * noise + more * ops.ones((rows, 4))) * self.scale
            loss = self.compute_loss(y=y, y_pred=self(noisy, training=True))
        variables = self.trainable_weights
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


WEIGHTS = RNG.uniform(size=75).astype("float32")
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
    "weights of samples": (
        Weighted,
        {"data": (X, Y, WEIGHTS), "compiled": {"metrics": lambda: ["mae"]}},
    ),
    "no weights of samples": (Weighted, {}),
    "weights in a formula": (WeightedByHand, {"data": (X, Y, WEIGHTS)}),
    "a variational autoencoder": (VAE, {"data": ((X > 0).astype("float32"),)}),
    "draws": (Draws, {}),
    "draws and dropout": (Draws, {"make": lambda: network([keras.layers.Dropout(0.3)])}),
    "a target network in the model": (
        TargetWithin,
        {"data": (X, EXPERIENCE[0][1:]), "changes": TargetWithin.catch_up},
    ),
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
