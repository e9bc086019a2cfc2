"""In-place code of users: it computes what it computes on JAX, and reaches nobody else's memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import ops

X = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
Y = np.array([[1.0], [3.0]], "float32")


@pytest.fixture(autouse=True)
def _data_stay() -> Any:
    before = X.copy(), Y.copy()
    yield
    np.testing.assert_equal((X, Y), before)


def dense(units: int = 1, **arguments: Any) -> Any:
    return keras.layers.Dense(units, kernel_initializer="ones", **arguments)


def sequential(*layers: Any) -> Any:
    return keras.Sequential([keras.Input((2,)), *layers])


class Residual(keras.layers.Layer):
    """``(x + d(x)) + x``, written as people write it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.d = dense(2)

    def call(self, x: Any) -> Any:
        h = x
        h += self.d(x)
        return h + x


class ResidualModel(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.d = dense(2)

    def call(self, x: Any) -> Any:
        h = x
        h += self.d(x)
        return h + x


RESIDUAL = [[5.0, 7.0], [13.0, 15.0]]


@pytest.mark.parametrize("kind", ["sequential", "functional", "subclass", "lambda", "host"])
def test_an_in_place_sum_in_a_model(kind: str) -> None:
    inputs = keras.Input((2,))

    def residual(x: Any) -> Any:
        h = x
        h += ops.sum(x, axis=-1, keepdims=True)
        return h + x

    class Unfollowed(ResidualModel):
        def call(self, x: Any) -> Any:
            return super().call(np.asarray(x) if type(x) is np.ndarray else x * 1.0)

    model = {
        "sequential": lambda: sequential(Residual()),
        "functional": lambda: keras.Model(inputs, Residual()(inputs)),
        "subclass": ResidualModel,
        "lambda": lambda: sequential(keras.layers.Lambda(residual)),
        "host": Unfollowed,
    }[kind]()
    model.compile("sgd", "mse")
    np.testing.assert_equal(np.asarray(model(X)), RESIDUAL)
    np.testing.assert_equal(np.asarray(model(X, training=True)), RESIDUAL)
    np.testing.assert_equal(model.predict(X, verbose=0), RESIDUAL)
    np.testing.assert_equal(model.predict(X, batch_size=1, verbose=0), RESIDUAL)
    np.testing.assert_equal(model.predict_on_batch(X), RESIDUAL)
    wanted = float(np.mean(np.square(np.array(RESIDUAL) - X)))
    assert model.evaluate(X, X, verbose=0) == pytest.approx(wanted)
    assert model.train_on_batch(X, X) == pytest.approx(wanted)


def test_an_in_place_sum_in_a_layer() -> None:
    np.testing.assert_equal(Residual()(X), RESIDUAL)
    np.testing.assert_equal(Residual()([X][0], training=True), RESIDUAL)


def test_an_own_array_of_an_op_keeps_its_other_names() -> None:
    class Sums(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            total = first = ops.zeros((2,))
            total += x
            ones = same = ops.ones_like(x)
            ones *= 3
            return total + first + ones - same

    np.testing.assert_equal(Sums()(X), X + 2)
    model = sequential(Sums())
    np.testing.assert_equal(model.predict(X, verbose=0), X + 2)


def test_elements_are_not_assigned_to() -> None:
    class Zeroed(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            x[:, 0] = 0
            return x

    with pytest.raises(TypeError, match="item assignment"):
        Zeroed()(X)


def test_what_layers_keep_stays() -> None:
    kept: list[tuple[Any, Any]] = []

    class Keeping(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            y = x * 2 if len(x) else x  # which is not followed, so that each call comes here
            if isinstance(x, np.ndarray) and len(x) == len(rows):
                kept.append((x, y))
            return y

    rows = np.arange(14, dtype="float32").reshape(7, 2)
    layer = Keeping()
    model = sequential(layer, dense())
    model.predict(rows, verbose=0)
    kept.clear()
    for more in range(3):
        model.predict(rows + more, verbose=0)
    np.testing.assert_equal(np.stack([x for x, _ in kept]), [rows, rows + 1, rows + 2])
    np.testing.assert_equal(np.stack([y for _, y in kept]), 2 * np.stack([x for x, _ in kept]))
    kept.clear()
    outputs = layer(rows)
    outputs *= 0
    np.testing.assert_equal(kept[0][1], 2 * rows)


@pytest.mark.parametrize("as_function", [False, True])
def test_own_regularizers_and_constraints(as_function: bool) -> None:
    class Penalty(keras.regularizers.Regularizer):
        def __call__(self, w: Any) -> Any:
            w *= 3
            return ops.sum(w)

    class Halved(keras.constraints.Constraint):
        def __call__(self, w: Any) -> Any:
            w *= 0.5
            return w

    penalty = (lambda w: Penalty()(w)) if as_function else Penalty()
    halved = (lambda w: Halved()(w)) if as_function else Halved()
    layer = dense(kernel_regularizer=penalty, kernel_constraint=halved)
    model = sequential(layer)
    model.compile(keras.optimizers.SGD(0.125), "mse")
    residual = X.sum(axis=1, keepdims=True) - Y
    loss = float(np.mean(residual**2)) + 6.0
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(loss)
    np.testing.assert_equal(layer.kernel.numpy(), np.ones((2, 1)))
    gradient = X.T @ residual + 3.0
    assert model.train_on_batch(X, Y) == pytest.approx(loss)
    np.testing.assert_allclose(layer.kernel.numpy(), (1 - 0.125 * gradient) * 0.5)
    assert float(ops.sum(ops.stack(model.losses))) == pytest.approx(3 * layer.kernel.numpy().sum())


def test_own_activity_regularizer_and_activation() -> None:
    def activation(x: Any) -> Any:
        h = x
        h *= 2
        return h - x

    def penalty(x: Any) -> Any:
        x *= 0
        return ops.sum(x)

    layer = dense(2, activation=activation, activity_regularizer=penalty)
    np.testing.assert_equal(layer(X), [[3.0, 3.0], [7.0, 7.0]])
    model = sequential(layer)
    np.testing.assert_equal(model.predict(X, verbose=0), [[3.0, 3.0], [7.0, 7.0]])
    model.compile("sgd", "mse")
    wanted = np.mean(np.square(np.array([[3.0, 3.0], [7.0, 7.0]]) - X))
    assert model.train_on_batch(X, X) == pytest.approx(wanted)


class Careless(keras.metrics.Metric):
    """Changes what it is handed; the sum of the targets less one."""

    def __init__(self, name: str = "careless") -> None:
        super().__init__(name=name)
        self.total = self.add_variable((2,), "zeros", name="total")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true -= 1
        y_pred *= 0
        if sample_weight is not None:
            sample_weight *= 0
        self.total.assign(self.total + ops.sum(y_true) + ops.sum(y_pred))

    def result(self) -> Any:
        return self.total


def test_a_careless_metric_beside_others() -> None:
    model = sequential(dense())
    model.compile("sgd", "mse", metrics=[Careless(), "mae"], weighted_metrics=[Careless(), "mse"])
    wanted = model.predict(X, verbose=0) - Y
    weights = np.array([1.0, 3.0], "float32")
    logs = model.evaluate(X, Y, sample_weight=weights, verbose=0, return_dict=True)
    assert logs["mae"] == pytest.approx(float(np.mean(np.abs(wanted))))
    mean = float(np.average(wanted[:, 0] ** 2, weights=weights))
    assert logs["mse"] == pytest.approx(mean)
    np.testing.assert_equal(logs["careless"], [2.0, 2.0])
    np.testing.assert_equal(logs["weighted_careless"], [2.0, 2.0])
    np.testing.assert_equal(weights, [1.0, 3.0])
    metric = Careless()
    np.testing.assert_equal(np.asarray(metric(Y, Y)), [2.0, 2.0])


def test_a_result_that_is_the_variable_is_that_of_its_time() -> None:
    model = sequential(dense())
    model.compile("sgd", "mse", metrics=[Careless()])
    seen: list[Any] = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(logs["careless"])
    )
    history = model.fit(
        X, Y, epochs=2, validation_data=(X, Y + 10), verbose=0, callbacks=[keep]
    ).history
    np.testing.assert_equal(history["careless"], [[2.0, 2.0]] * 2)
    np.testing.assert_equal(history["val_careless"], [[22.0, 22.0]] * 2)
    np.testing.assert_equal(seen, [[2.0, 2.0]] * 2)
    kept = model.get_metrics_result()["careless"]
    model.evaluate(X, Y + 3, verbose=0)
    np.testing.assert_equal(kept, [22.0, 22.0])


def test_own_losses() -> None:
    kept: list[Any] = []

    def loss(y_true: Any, y_pred: Any) -> Any:
        kept.append(y_true)
        y_true -= y_pred
        return ops.square(y_true)

    class Weighted(keras.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            y_true *= 2
            y_pred += 1
            return ops.sum(ops.square(y_pred - y_true), axis=-1)

    model = sequential(dense())
    model.compile("sgd", loss, metrics=["mse"])
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert logs["loss"] == logs["mse"]
    history = model.fit(X, Y, epochs=2, verbose=0, shuffle=False, batch_size=1).history
    assert history["loss"] == pytest.approx(history["mse"])
    arrays = [t for t in kept if isinstance(t, np.ndarray)]  # others are what it was followed with
    assert all(np.array_equal(t.ravel(), Y.ravel()) or t.ravel()[0] in Y for t in arrays)

    predicted = np.array([[2.0], [4.0]], "float32")
    given = Y.copy()
    assert float(Weighted()(given, predicted)) == pytest.approx(1.0)
    np.testing.assert_equal((given, predicted), (Y, [[2.0], [4.0]]))


class Old(keras.optimizers.Optimizer):
    """Moves by the gradient and adds what the weights were: ``w <- 2 w - lr g``."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        old = ops.cast(variable, variable.dtype)
        again, flat = variable.value, ops.reshape(variable, (-1,))
        gradient *= ops.cast(learning_rate, variable.dtype)
        self.assign(variable, variable - gradient)
        np.testing.assert_equal(np.array(again), np.array(old))
        np.testing.assert_equal(np.array(flat), np.array(old).ravel())
        self.assign(variable, variable + old)


def test_an_own_optimizer_that_keeps_the_old_weights() -> None:
    layer = dense(use_bias=False)
    model = sequential(layer)
    model.compile(Old(0.25), "mse")
    gradient = X.T @ (X.sum(axis=1, keepdims=True) - Y)
    model.train_on_batch(X, Y)
    np.testing.assert_allclose(layer.kernel.numpy(), 2 - 0.25 * gradient)
    given = np.ones(2, "float32")
    w = keras.Variable(np.zeros(2, "float32"))
    Old(0.25).apply([given], [w])
    np.testing.assert_equal(given, np.ones(2))
    np.testing.assert_equal(w.numpy(), [-0.25, -0.25])


def test_a_callback_that_measures_the_way_from_the_first_weights() -> None:
    class Distance(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            self.first = [v.value for v in self.model.weights]
            self.arrays = [np.asarray(v) for v in self.model.weights]
            self.ways: list[float] = []

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            now = self.model.get_weights()
            ways = [
                sum(float(np.abs(a - b).sum()) for a, b in zip(now, then, strict=True))
                for then in (self.first, self.arrays)
            ]
            assert ways[0] == ways[1]
            self.ways.append(ways[0])

    model = sequential(dense())
    model.compile("sgd", "mse")
    distance = Distance()
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[distance])
    assert 0 < distance.ways[0] != distance.ways[1]


def test_a_callback_cannot_change_predictions() -> None:
    class Zeroing(keras.callbacks.Callback):
        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            logs["outputs"] *= 0

    model = sequential(dense())
    wanted = model.predict(X, verbose=0)
    np.testing.assert_equal(
        model.predict(X, batch_size=1, verbose=0, callbacks=[Zeroing()]), wanted
    )
    batches = [(X[:1],), (X[1:],)]
    np.testing.assert_equal(
        model.predict(iter(batches), steps=2, verbose=0, callbacks=[Zeroing()]), wanted
    )


def test_tensors_are_data_too() -> None:
    """What `ops` and variables give can be handed to everything that takes arrays."""
    model = sequential(dense())
    model.compile("sgd", "mse", metrics=["mae"])
    x, y = ops.convert_to_tensor(X), keras.Variable(Y).value
    assert model.evaluate(x, y, verbose=0) == model.evaluate(X, Y, verbose=0)
    for outputs in (model(x), model.predict(x, verbose=0), model.layers[0](x)):
        assert type(outputs) is np.ndarray
        np.testing.assert_allclose(outputs, model(X))
    model.fit(x, y, validation_data=(x, y), verbose=0)
    model.set_weights([ops.ones((2, 1)), ops.zeros((1,))])
    np.testing.assert_equal(model.get_weights(), [np.ones((2, 1)), np.zeros(1)])


def test_a_metric_of_an_own_function() -> None:
    def error(y_true: Any, y_pred: Any) -> Any:
        y_true -= y_pred
        return ops.abs(y_true)

    metric = keras.metrics.MeanMetricWrapper(error)
    y_pred = np.array([[2.0], [1.0]], "float32")
    metric.update_state(Y, y_pred)
    assert float(metric.result()) == float(np.mean(np.abs(Y - y_pred)))
