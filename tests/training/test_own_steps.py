"""Steps that a subclass wrote: used by `fit`, `evaluate`, `predict` and single batches."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import densekit as keras
from densekit import ops

RNG = np.random.default_rng(0)
X = RNG.normal(size=(72, 4)).astype("float32")
Y = (X @ RNG.normal(size=(4, 1))).astype("float32")


class Tape(keras.Model):
    """The style of TensorFlow."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        with keras.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=len(x))
            else:
                metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}

    def test_step(self, data: Any) -> Any:
        x, y = data
        y_pred = self(x, training=False)
        self.metrics[0].update_state(self.compute_loss(y=y, y_pred=y_pred), sample_weight=len(x))
        self.metrics[1].update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}


class Super(keras.Model):
    def train_step(self, data: Any) -> Any:
        return super().train_step(data)

    def test_step(self, data: Any) -> Any:
        return super().test_step(data)


class OwnLoss(keras.Model):
    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, **_: Any) -> Any:
        return ops.mean(ops.square(y - y_pred))


class OwnFunction(keras.Model):
    def make_train_function(self, force: bool = False) -> Any:
        def train_function(batches: Any) -> Any:
            for data in batches:
                logs = self.train_step(data)
            return logs

        self.train_function = train_function
        return train_function


class Stateless(keras.Model):
    """The style of JAX."""

    value_and_grad = staticmethod(keras.value_and_grad)

    def loss_and_updates(self, trainable: Any, other: Any, x: Any, y: Any) -> Any:
        y_pred, other = self.stateless_call(trainable, other, x, training=True)
        return self.compute_loss(x, y, y_pred), (y_pred, other)

    def train_step(self, state: Any, data: Any) -> Any:
        trainable, other, optimizer, metrics = state
        x, y = data
        step = self.value_and_grad(self.loss_and_updates, has_aux=True)
        (loss, (y_pred, other)), gradients = step(trainable, other, x, y)
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
        logs: dict[str, Any] = {}
        after: list[Any] = []
        for metric in self.metrics:
            own = metrics[len(after) : len(after) + len(metric.variables)]
            if metric.name == "loss":
                own = metric.stateless_update_state(own, loss, sample_weight=len(x))
            else:
                own = metric.stateless_update_state(own, y, y_pred)
            logs[metric.name] = metric.stateless_result(own)
            after += own
        return logs, (trainable, other, optimizer, after)


class StatelessJax(Stateless):
    value_and_grad = staticmethod(jax.value_and_grad)


class SuperStateless(keras.Model):
    def train_step(self, state: Any, data: Any) -> Any:
        return super().train_step(state, data)

    def test_step(self, state: Any, data: Any) -> Any:
        return super().test_step(state, data)


STYLES = [Tape, Super, OwnLoss, OwnFunction, Stateless, StatelessJax, SuperStateless]


def model_of(kind: Any, **options: Any) -> Any:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(8, "tanh")(inputs)
    model = kind(inputs, keras.layers.Dense(1)(hidden))
    model.compile("adam", "mse", metrics=["mae"], **options)
    return model


@pytest.mark.parametrize("kind", STYLES, ids=lambda c: c.__name__)
def test_every_style_trains_as_the_engine(kind: Any) -> None:
    plain, own = model_of(keras.Model), model_of(kind)
    arguments = {"epochs": 3, "batch_size": 16, "validation_data": (X[:20], Y[:20]), "verbose": 0}
    keras.utils.set_random_seed(1)
    expected = plain.fit(X, Y, **arguments)
    keras.utils.set_random_seed(1)
    found = own.fit(X, Y, **arguments)
    assert list(found.history) == list(expected.history)
    for name, values in expected.history.items():
        np.testing.assert_allclose(found.history[name], values, rtol=1e-4, err_msg=name)
    for one, other in zip(own.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    assert int(own.optimizer.iterations) == int(plain.optimizer.iterations) == 15
    np.testing.assert_allclose(
        own.evaluate(X, Y, verbose=0), plain.evaluate(X, Y, verbose=0), rtol=1e-4
    )


@pytest.mark.parametrize("kind", STYLES, ids=lambda c: c.__name__)
def test_single_batches(kind: Any) -> None:
    plain, own = model_of(keras.Model), model_of(kind)
    for _ in range(3):
        found = own.train_on_batch(X, Y, return_dict=True)
        expected = plain.train_on_batch(X, Y, return_dict=True)
        assert list(found) == list(expected)
        np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-4)
    np.testing.assert_allclose(own.test_on_batch(X, Y), plain.test_on_batch(X, Y), rtol=1e-4)


def test_lists_of_numbers_are_refused_as_by_fit() -> None:
    model = model_of(Tape)
    for call in (model.train_on_batch, model.fit):
        with pytest.raises(ValueError, match="expected an array"):
            call([[1.0] * 4, [2.0] * 4], [[1.0], [2.0]])


def test_callbacks_and_steps_per_execution() -> None:
    seen: list[Any] = []

    class Record(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append((batch, sorted(logs)))

    model = model_of(Tape, steps_per_execution=2)
    model.fit(X, Y, batch_size=16, callbacks=[Record()], verbose=0)
    assert seen == [(1, ["loss", "mae"]), (3, ["loss", "mae"]), (5, ["loss", "mae"])]


class Untold(keras.Model):
    """Steps that update no metric, but give a loss by the name of one."""

    def train_step(self, data: Any) -> Any:
        return {"loss": 5.0}

    def test_step(self, data: Any) -> Any:
        return {"loss": ops.ones(()) * 6}


def test_batch_logs_are_what_the_step_returned() -> None:
    """At the end of an epoch the metrics of these names count, as in Keras."""
    seen: list[Any] = []

    class Record(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(logs)

        on_test_batch_end = on_train_batch_end

    model = model_of(Untold)
    model.compile("adam", "mse")
    history = model.fit(X, Y, validation_data=(X, Y), callbacks=[Record()], verbose=0).history
    assert seen == [{"loss": 5.0}] * 3 + [{"loss": 6.0}] * 3
    assert history == {"loss": [0.0], "val_loss": [0.0]}
    assert model.train_on_batch(X, Y) == 5.0
    assert model.train_on_batch(X, Y, return_dict=True) == {"loss": 5.0}
    assert model.test_on_batch(X, Y) == 6.0


def test_batches_of_a_generator_and_early_stopping() -> None:
    class Batches:
        def __iter__(self) -> Any:
            for start in range(0, 64, 16):
                yield X[start : start + 16], Y[start : start + 16]

    model = model_of(Tape)
    stop = keras.callbacks.EarlyStopping("loss", mode="max", patience=0)
    history = model.fit(Batches(), epochs=5, callbacks=[stop], verbose=0)
    assert len(history.history["loss"]) == 2


def test_sample_weights_and_structures_reach_the_step() -> None:
    seen: list[Any] = []

    class Look(keras.Model):
        def train_step(self, data: Any) -> Any:
            seen.append(data)
            return {"n": 1.0}

    model = Look()
    model.compile()
    x, y = {"a": X.astype("float64"), "b": [np.arange(72)]}, (Y, Y[:, 0])
    history = model.fit(x, y, sample_weight=np.ones(72), batch_size=36, shuffle=False, verbose=0)
    assert history.history == {"n": [1.0]}
    assert len(seen) == 2
    inputs, targets, weights = seen[1]
    assert inputs["a"].dtype == "float32"
    assert inputs["b"][0].tolist() == list(range(36, 72))
    np.testing.assert_array_equal(targets[1], Y[36:, 0])
    assert weights.shape == (36,)
    inputs["a"][...] = 0  # a batch is the step's own
    assert x["a"].any()
    seen.clear()
    model.fit(X, verbose=0)
    assert type(seen[0]) is np.ndarray
    model.fit(X, Y, verbose=0)
    assert len(seen[-1]) == 2


def test_class_weights_become_sample_weights() -> None:
    seen: list[Any] = []

    class Look(keras.Model):
        def train_step(self, data: Any) -> Any:
            seen.append(data[2])
            return {}

    model = Look()
    model.compile()
    labels = np.array([0, 1, 1, 0])
    model.fit(X[:4], labels, class_weight={0: 1.0, 1: 3.0}, shuffle=False, verbose=0)
    assert seen[0].tolist() == [1.0, 3.0, 3.0, 1.0]


def test_a_model_without_call_trains_its_parts() -> None:
    class Pair(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
            self.second = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
            self.tracker = keras.metrics.Mean(name="distance")

        def compile(self, first: Any, second: Any) -> None:
            super().compile()
            self.first_optimizer, self.second_optimizer = first, second

        @property
        def metrics(self) -> list[Any]:
            return [self.tracker]

        def train_step(self, data: Any) -> Any:
            x, y = data
            with keras.GradientTape(persistent=True) as tape:
                loss = ops.mean((self.second(self.first(x, training=True), training=True) - y) ** 2)
            for part, optimizer in (
                (self.first, self.first_optimizer),
                (self.second, self.second_optimizer),
            ):
                gradients = tape.gradient(loss, part.trainable_weights)
                optimizer.apply_gradients(zip(gradients, part.trainable_weights, strict=True))
            self.tracker.update_state(loss)
            return {"distance": self.tracker.result()}

    model = Pair()
    model.compile(keras.optimizers.Adam(0.05), keras.optimizers.Adam(0.05))
    distances = model.fit(X, Y, epochs=20, verbose=0).history["distance"]
    assert distances[-1] < 0.1 * distances[0]


def test_own_predict_step() -> None:
    class Doubled(keras.Model):
        def predict_step(self, data: Any) -> Any:
            return {"twice": 2 * super().predict_step(data), "rows": np.full(len(data), len(data))}

    model, plain = model_of(Doubled), model_of(keras.Model)
    found = model.predict(X, batch_size=30, verbose=0)
    np.testing.assert_allclose(found["twice"], 2 * plain.predict(X, verbose=0), rtol=1e-5)
    assert found["rows"].tolist() == [30] * 60 + [12] * 12
    assert model.predict_on_batch(X[:7])["rows"].tolist() == [7] * 7


def test_a_step_that_returns_no_state_is_told() -> None:
    class Forgets(keras.Model):
        def train_step(self, state: Any, data: Any) -> Any:
            return {"loss": 1.0}

    with pytest.raises(ValueError, match="state"):
        model_of(Forgets).fit(X, Y, verbose=0)


def test_dropout_and_state_move_on_in_own_steps() -> None:
    class Wet(Tape):
        pass

    def fitted(kind: Any) -> Any:
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,))
        hidden = keras.layers.Dropout(0.5, seed=1)(keras.layers.Dense(8, "relu")(inputs))
        model = kind(inputs, keras.layers.Dense(1)(hidden))
        model.compile("sgd", "mse", metrics=["mae"])
        model.fit(X, Y, epochs=2, batch_size=18, verbose=0)
        return model

    for one, other in zip(
        fitted(Wet).get_weights(), fitted(keras.Model).get_weights(), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


class Counting(keras.Model):
    """Steps of the base class, in a class of its own; counts how often Python runs its call."""

    def __init__(self) -> None:
        super().__init__()
        self.first = keras.layers.Dense(8, "relu", kernel_regularizer="l2")
        self.dropout = keras.layers.Dropout(0.3, seed=1)
        self.last = keras.layers.Dense(2)
        self.calls: list[bool] = []

    def call(self, x: Any, training: bool = False) -> Any:
        self.calls.append(training)
        return self.last(self.dropout(self.first(x), training=training))


class CountingSuper(Counting):
    def train_step(self, data: Any) -> Any:
        return super().train_step(data)

    def test_step(self, data: Any) -> Any:
        return super().test_step(data)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_step_of_the_base_class_is_that_of_fit(weighted: bool) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 4)).astype("float32"), rng.normal(size=(50, 2)).astype("float32")
    weights = rng.uniform(size=50).astype("float32") if weighted else None
    results = []
    for kind in (Counting, CountingSuper):
        keras.utils.set_random_seed(4)
        model = kind()
        model.compile("adam", "mse", metrics=["mae"])
        history = model.fit(x, y, epochs=3, batch_size=16, sample_weight=weights, verbose=0)
        tested = model.evaluate(x, y, sample_weight=weights, verbose=0)
        assert kind is Counting or model._dk_batches.quick
        made = len(model.calls)
        on_batch = model.train_on_batch(x, y, weights)
        model.fit(x, y, epochs=2, batch_size=16, verbose=0)
        assert len(model.calls) == made  # followed once, no matter how many steps
        results.append((history.history, tested, on_batch, model.get_weights()))
    (plain, *numbers, weights_a), (own, *own_numbers, weights_b) = results
    assert own == {name: pytest.approx(values, rel=1e-6) for name, values in plain.items()}
    for a, b in zip(numbers, own_numbers, strict=True):
        assert b == pytest.approx(a, rel=1e-6)
    assert all(np.array_equal(a, b) for a, b in zip(weights_a, weights_b, strict=True))


def test_the_step_of_the_base_class_uses_what_a_subclass_computes() -> None:
    class Doubled(CountingSuper):
        def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, **_: Any) -> Any:
            return 2 * ops.mean(ops.square(y - y_pred))

    x, y = np.ones((6, 4), "float32"), np.ones((6, 2), "float32")
    losses = []
    for kind in (CountingSuper, Doubled):
        keras.utils.set_random_seed(4)
        model = kind()
        model.first.kernel_regularizer = None
        model.dropout.rate = 0.0
        model.compile("sgd", "mse")
        losses.append(model.evaluate(x, y, verbose=0))
    assert losses[1] != pytest.approx(losses[0], rel=0.01)


def test_the_step_of_the_base_class_inside_a_tape_is_a_formula() -> None:
    class Watched(CountingSuper):
        def test_step(self, data: Any) -> Any:
            with keras.GradientTape() as tape:
                logs = super().test_step(data)
            assert tape.watched_variables()
            return logs

    x, y = np.ones((6, 4), "float32"), np.ones((6, 2), "float32")
    results = []
    for kind in (CountingSuper, Watched):
        keras.utils.set_random_seed(4)
        model = kind()
        model.compile("sgd", "mse")
        results.append(model.evaluate(x, y, verbose=0))
    assert results[0] == pytest.approx(results[1], rel=1e-5)
