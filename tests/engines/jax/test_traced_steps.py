"""Steps that users write on tapes are compiled as a whole, and compute what native ones do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import jax
import numpy as np
import pytest

import densekit as keras
from densekit import ops
from densekit.engines.jax.own_steps import OwnLoop

RNG = np.random.default_rng(5)
X = RNG.normal(size=(44, 3)).astype("float32")
Y = (RNG.random((44, 2)) > 0.5).astype("float32")
BATCH, EPOCHS = 8, 2


class Net(keras.Model):
    """Noise, state, penalties: what a step may meet."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(
            6, "tanh", kernel_regularizer="l2", activity_regularizer="l2"
        )
        self.drop = keras.layers.Dropout(0.3, seed=4)
        self.norm = keras.layers.BatchNormalization()
        self.last = keras.layers.Dense(2, "sigmoid")

    def call(self, x: Any, training: bool = False) -> Any:
        x = self.norm(self.drop(self.hidden(x), training=training), training=training)
        return self.last(x)

    def measured(self, loss: Any, y: Any, y_pred: Any) -> Any:
        for metric in self.metrics:
            given = (loss,) if metric.name == "loss" else (y, y_pred)
            metric.update_state(*given)
        return {metric.name: metric.result() for metric in self.metrics}


class Usual(Net):
    def train_step(self, data: Any) -> Any:
        x, y = data
        with keras.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self.measured(loss, y, y_pred)

    def test_step(self, data: Any) -> Any:
        x, y = data
        y_pred = self(x, training=False)
        return self.measured(self.compute_loss(x=x, y=y, y_pred=y_pred), y, y_pred)


class Penalised(Net):
    """A gradient by the inputs is part of the loss; what lies outside of the tape is constant."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        target = self(x, training=False)
        with keras.GradientTape() as tape:
            with keras.GradientTape() as inner:
                inner.watch(x)
                y_pred = self(x, training=True)
            slopes = inner.gradient(y_pred, x)
            loss = ops.mean((y - y_pred) ** 2) + ops.mean(slopes**2)
            loss = loss + 0.1 * ops.mean((y_pred - target) ** 2)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss, "slopes": {"largest": ops.max(slopes)}}


class Parts(Net):
    """One tape, asked twice; parts of the network that a loss does not depend on."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        with keras.GradientTape(persistent=True) as tape:
            inside = self.hidden(x)
            first = ops.mean(inside**2)
            second = ops.mean((self.last(inside) - y) ** 2)
        unused = tape.gradient(first, self.last.trainable_variables)
        assert unused == [None, None]
        zeros = tape.gradient(first, self.last.kernel, unconnected_gradients="zero")
        early = tape.gradient(first, self.hidden.trainable_variables)
        late = tape.gradient(second, [inside, self.last.kernel, self.hidden.kernel])
        self.optimizer.apply(
            [*early, late[1] + zeros], [*self.hidden.trainable_variables, self.last.kernel]
        )
        return {"loss": second, "slope": ops.mean(late[0]), "whole": ops.mean(late[2] ** 2)}


class Two(keras.Model):
    """A generator and a discriminator, each with its optimizer and its tape."""

    def __init__(self) -> None:
        super().__init__()
        self.make = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        self.judge = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)]
        )
        self.seeds = keras.random.SeedGenerator(7)
        self.other = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, 30))
        self.seen = keras.metrics.Mean(name="seen")

    @property
    def metrics(self) -> Any:
        return [self.seen]

    def call(self, x: Any) -> Any:
        return self.judge(x)

    def train_step(self, data: Any) -> Any:
        x = data
        noise = keras.random.normal((BATCH, 2), seed=self.seeds)
        made = self.make(noise)
        with keras.GradientTape() as tape:
            loss = ops.mean(self.judge(made)) - ops.mean(self.judge(x))
        weights = self.judge.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        with keras.GradientTape() as tape:
            gain = -ops.mean(self.judge(self.make(noise)))
        weights = self.make.trainable_variables
        self.other.apply(tape.gradient(gain, weights), weights)
        self.seen.update_state(gain)
        return {"loss": loss, "gain": gain, "seen": self.seen.result()}


class OwnLoss(Net):
    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None
    ) -> Any:
        return ops.mean(ops.abs(y - y_pred)) + sum(self.losses)


class OwnMetrics(Net):
    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        logs = super().compute_metrics(x, y, y_pred, sample_weight)
        return {**logs, "largest": ops.max(y_pred)}


def fitted(
    kind: Callable[[], Any], engine: str, short: bool = False, **arguments: Any
) -> list[Any]:
    """What a fit leaves; with a short last batch, which is traced and compiled anew, if asked."""
    keras.utils.set_random_seed(5)
    model = kind()
    optimizer = keras.optimizers.SGD(
        keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.5), momentum=0.9
    )
    is_two = kind is Two
    model.compile(optimizer, "mse", metrics=[] if is_two else ["mae"], engine=engine, **arguments)
    rows = len(X) if short else 40
    given = (X[:rows],) if is_two else (X[:rows], Y[:rows])
    fit = {"batch_size": BATCH, "epochs": EPOCHS, "verbose": 0}
    history = model.fit(*given, **fit, validation_data=None if is_two else (X[:20], Y[:20])).history
    single = model.train_on_batch(*(part[:BATCH] for part in given), return_dict=True)
    return [history, single, model.get_weights(), [v.numpy() for v in model.optimizer.variables]]


def same(ours: Any, theirs: Any) -> None:
    for one, two in zip(keras.tree.flatten(ours), keras.tree.flatten(theirs), strict=True):
        np.testing.assert_allclose(two, one, rtol=2e-4, atol=2e-5)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps of each call of a compiled loop."""
    made: list[int] = []
    run = OwnLoop.run

    def spy(self: OwnLoop, chunk: Any) -> Any:
        result = run(self, chunk)
        made.append(chunk.steps)
        return result

    monkeypatch.setattr(OwnLoop, "run", spy)
    return made


@pytest.mark.parametrize("kind", [Usual, Penalised, Parts, Two, OwnLoss, OwnMetrics])
def test_traced_steps_compute_what_native_ones_do(kind: Any, runs: list[int]) -> None:
    short = kind is Usual
    ours = fitted(kind, "native", short)
    assert not runs
    same(ours, fitted(kind, "jax", short))
    steps = 6 if short else 5
    assert runs[0] == steps - 2  # two run as they are
    assert steps in runs


def test_a_step_runs_twice_in_python_and_is_traced_once_for_a_shape() -> None:
    calls = Mock()  # a list would be an effect

    class Counted(Usual):
        def train_step(self, data: Any) -> Any:
            calls(isinstance(data[0], jax.core.Tracer))
            return super().train_step(data)

    fitted(Counted, "jax", short=True)
    traced = [call.args[0] for call in calls.call_args_list]
    assert traced == [False, False, True, True]  # batches of 8 rows and of 4


class Counting(Usual):
    steps = 0

    def train_step(self, data: Any) -> Any:
        self.steps += 1
        return super().train_step(data)


class Box:
    steps = 0


class Hiding(Usual):
    def __init__(self) -> None:
        super().__init__()
        self.book = {"boxes": [Box()]}

    def train_step(self, data: Any) -> Any:
        self.book["boxes"][0].steps += 1
        return super().train_step(data) | {"steps": float(self.book["boxes"][0].steps)}


class Drawing(Usual):
    def train_step(self, data: Any) -> Any:
        x, y = data
        return super().train_step((x + np.random.normal(size=3).astype("float32"), y))


class Holding(Usual):
    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(3)

    def train_step(self, data: Any) -> Any:
        x, y = data
        return super().train_step((x + self.rng.normal(size=3).astype("float32"), y))


class Branching(Usual):
    def train_step(self, data: Any) -> Any:
        logs = super().train_step(data)
        if float(logs["loss"]) > 1e9:
            raise AssertionError
        return logs


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Counting, "changes `steps` in Python"),
        (Hiding, "changes `book` in Python"),
        (Drawing, "changes `np.random` in Python"),
        (Holding, "changes `rng` in Python"),
        (Branching, "Abstract tracer value"),
    ],
)
def test_what_cannot_be_traced_runs_as_it_is_and_says_so_once(
    kind: Any, reason: str, runs: list[int]
) -> None:
    def seeded(engine: str) -> Any:
        np.random.seed(3)
        return fitted(kind, engine)

    with pytest.warns(UserWarning, match=f"train_step cannot be compiled.*{reason}") as said:
        theirs = seeded("jax")
    assert len([w for w in said if "train_step" in str(w.message)]) == 1
    same(seeded("native"), theirs)


def test_attributes_and_flags_that_change_between_epochs_are_seen() -> None:
    class Weighted(Usual):
        factor = 1.0

        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            return self.factor * super().compute_loss(*args, **kwargs)

    def run(engine: str) -> Any:
        keras.utils.set_random_seed(5)
        model = Weighted()
        model.compile(keras.optimizers.SGD(0.1), "mse", engine=engine)
        model.fit(X, Y, batch_size=BATCH, verbose=0)
        model.factor = 3.0
        model.fit(X, Y, batch_size=BATCH, verbose=0)
        model.hidden.trainable = False
        history = model.fit(X, Y, batch_size=BATCH, verbose=0).history
        return history, model.get_weights()

    same(run("native"), run("jax"))


def test_run_eagerly_is_as_it_says(runs: list[int]) -> None:
    same(fitted(Usual, "native"), fitted(lambda: Usual(), "jax", run_eagerly=True))
    assert not runs


def test_predictions_of_own_steps(runs: list[int]) -> None:
    class Doubling(Net):
        def predict_step(self, data: Any) -> Any:
            return {"twice": 2 * self(data, training=False)}

    def run(engine: str) -> Any:
        keras.utils.set_random_seed(5)
        model = Doubling()
        model.compile("sgd", "mse", engine=engine)
        return model.predict(X, batch_size=BATCH, verbose=0)

    same(run("native"), run("jax"))
    assert runs == [1] * 4


def test_hooks_of_batches_are_called_after_each() -> None:
    def run(engine: str) -> Any:
        keras.utils.set_random_seed(5)
        model, logs = Usual(), []
        seen = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: seen_logs.append(logs)
        )
        seen_logs: list[Any] = logs
        model.compile("sgd", "mse", metrics=["mae"], engine=engine)
        model.fit(X, Y, batch_size=BATCH, verbose=0, callbacks=[seen])
        return logs

    ours, theirs = run("native"), run("jax")
    assert len(ours) == len(theirs) == 6
    same(ours, theirs)


def test_variables_may_be_logs() -> None:
    class Counted(Usual):
        def __init__(self) -> None:
            super().__init__()
            self.steps = keras.Variable(0, dtype="int32", trainable=False)

        def train_step(self, data: Any) -> Any:
            logs = super().train_step(data)
            self.steps.assign_add(1)
            return logs | {"steps": self.steps}

    same(fitted(Counted, "native"), fitted(Counted, "jax"))


def test_columns_may_come_and_go_between_fits(runs: list[int]) -> None:
    class Weighted(Net):
        def train_step(self, data: Any) -> Any:
            x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
            with keras.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x, training=True), weight)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
            return {"loss": loss}

    def run(engine: str) -> Any:
        keras.utils.set_random_seed(5)
        model = Weighted()
        model.compile("sgd", "mse", engine=engine)
        weights = np.arange(24, dtype="float32")
        for weight in (weights, None, weights):
            model.fit(X[:24], Y[:24], batch_size=BATCH, sample_weight=weight, epochs=2, verbose=0)
        return model.get_weights()

    same(run("native"), run("jax"))
    assert runs == [1, 3, 1, 3, 3, 3]


def test_a_step_that_fails_has_been_made_once() -> None:
    class Failing(Usual):
        def train_step(self, data: Any) -> Any:
            logs = super().train_step(data)
            if len(data[0]) < BATCH:
                raise ArithmeticError("too few")
            return logs

    def run(engine: str) -> Any:
        keras.utils.set_random_seed(5)
        model = Failing()
        model.compile("sgd", "mse", engine=engine)
        with pytest.raises(ArithmeticError, match="too few"):
            model.fit(X, Y, batch_size=BATCH, verbose=0)
        return int(model.optimizer.iterations), model.get_weights()

    with pytest.warns(UserWarning, match="cannot be compiled"):
        theirs = run("jax")
    same(run("native"), theirs)
