"""`fit` and its kin: what they leave behind, trouble on the way, what runs in Python."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import time
import warnings
import weakref
from typing import Any

import numpy as np
import pytest
from tests.training.small_regression import X, Y, assert_same, model_of

import densekit as keras

# State


def test_frozen_layers_stay() -> None:
    model = model_of(keras.layers.Dense(3))
    frozen = model.layers[0]
    frozen.trainable = False
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    assert_same(before[:2], model.get_weights()[:2])
    assert (before[2] != model.get_weights()[2]).any()
    frozen.trainable = True
    with pytest.raises(ValueError, match="new optimizer"):
        model.fit(X, Y, verbose=0)
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert (before[0] != model.get_weights()[0]).any()


def test_a_layer_frozen_by_a_callback() -> None:
    class Freeze(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                self.model.layers[0].trainable = False
                self.kept = self.model.layers[0].get_weights()

    model = model_of(keras.layers.Dense(3))
    freeze = Freeze()
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[freeze])
    assert_same(freeze.kept, model.layers[0].get_weights())


def test_set_weights_and_learning_rate_take_effect_at_once() -> None:
    model = model_of()
    model.fit(X, Y, verbose=0)
    model.set_weights([np.zeros((4, 1)), np.ones(1)])
    np.testing.assert_array_equal(model.predict(X, verbose=0), np.ones((40, 1)))
    model.optimizer.learning_rate = 0.0
    model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(model.predict(X, verbose=0), np.ones((40, 1)))


def test_a_changed_layer_is_lowered_anew() -> None:
    model = model_of(keras.layers.Dense(3, activation="relu"))
    before = model.predict(X, verbose=0)
    model.layers[0].activation = keras.activations.tanh
    after = model.predict(X, verbose=0)
    assert (before != after).any()
    np.testing.assert_allclose(
        after,
        np.asarray(model.layers[1](np.tanh(X @ model.layers[0].kernel.numpy()))),
        rtol=1e-5,
        atol=1e-6,
    )


def test_optimizer_goes_on_over_fits_and_recompiled_losses() -> None:
    model = model_of(optimizer="adam")
    model.fit(X, Y, verbose=0)
    model.fit(X, Y, verbose=0)
    assert int(model.optimizer.iterations.numpy()) == 4


def test_pickle_copy_and_deepcopy() -> None:
    model = model_of(keras.layers.Dense(3), optimizer="adam")
    model.fit(X, Y, verbose=0)
    expected = model.predict(X, verbose=0)
    for clone in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(clone.predict(X, verbose=0), expected)
        clone.fit(X, Y, verbose=0)
        assert (clone.predict(X, verbose=0) != expected).any()
        np.testing.assert_array_equal(model.predict(X, verbose=0), expected)


def test_compile_config_round_trip() -> None:
    model = model_of(optimizer=keras.optimizers.Adam(0.25), metrics=["mae"], loss_weights=[2.0])
    config = model.get_compile_config()
    clone = keras.models.clone_model(model)
    clone.compile_from_config(config)
    assert clone.get_compile_config() == config
    assert float(clone.optimizer.learning_rate.numpy()) == 0.25
    assert model_of().get_compile_config()["metrics"] is None


def test_a_model_can_be_collected() -> None:
    model = model_of(keras.layers.Lambda(lambda x: x * 2))
    model.fit(X, Y, verbose=0)
    model.predict(X, verbose=0)
    found = weakref.ref(model)
    del model
    gc.collect()
    assert found() is None


# Trouble on the way


class Boom(Exception):
    pass


def test_an_exception_in_a_callback_leaves_a_usable_model() -> None:
    class Fail(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 2:
                raise Boom

    model = model_of()
    with pytest.raises(Boom):
        model.fit(X, Y, batch_size=8, verbose=0, callbacks=[Fail()])
    assert int(model.optimizer.iterations.numpy()) == 3
    model.fit(X, Y, verbose=0)


def test_an_exception_in_a_layer_leaves_a_usable_model() -> None:
    class Sometimes(keras.layers.Layer):
        calls = 0

        def call(self, x: Any, training: Any = None) -> Any:
            if training and not isinstance(x, keras.KerasTensor):
                type(self).calls += 1
                if type(self).calls == 3:
                    raise Boom
            return keras.ops.sinc(x)  # in Python, so at every step

    model = model_of(Sometimes())
    with pytest.raises(Boom):
        model.fit(X, Y, batch_size=8, verbose=0)
    assert int(model.optimizer.iterations.numpy()) == 2
    losses = model.fit(X, Y, epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]


@pytest.mark.parametrize("host", [False, True])
def test_ctrl_c_stops_soon(host: bool) -> None:
    import _thread

    rng = np.random.default_rng(0)
    x = rng.normal(size=(20000, 64)).astype("float32")
    layers: list[Any] = [keras.layers.Dense(256, activation="relu")]
    if host:
        layers.append(keras.layers.Lambda(lambda v: v * 1.0))
    model = keras.Sequential([keras.Input((64,)), *layers, keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x[:64], x[:64, 0], verbose=0)
    before = int(model.optimizer.iterations.numpy())
    timer = threading.Timer(0.3, _thread.interrupt_main)
    start = time.perf_counter()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, x[:, 0], epochs=10000, verbose=0)
    assert time.perf_counter() - start < 15  # half a second on an idle machine; all would be hours
    assert int(model.optimizer.iterations.numpy()) > before
    assert np.isfinite(model.predict(x[:10], verbose=0)).all()
    model.fit(x[:64], x[:64, 0], verbose=0)


def test_threads_predict_at_the_same_time() -> None:
    model = model_of(
        keras.layers.Dense(32, activation="relu"), keras.layers.Lambda(lambda x: x + 1)
    )
    expected = model.predict(X, verbose=0)
    wrong: list[Any] = []

    def work() -> None:
        for _ in range(30):
            if not np.array_equal(model.predict(X, verbose=0), expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_training_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model_of(metrics=["mae"]).fit(X, Y, validation_split=0.2, epochs=2, verbose=0)


# Whatever runs on the host


def test_batch_statistics_of_a_custom_layer_move_while_training() -> None:
    class Centered(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.mean = self.add_weight(shape=(shape[-1],), initializer="zeros", trainable=False)

        def call(self, x: Any, training: Any = None) -> Any:
            if training:
                mean = keras.ops.mean(x, axis=0)
                self.mean.assign(0.5 * self.mean + 0.5 * mean)
                return x - mean
            return x - self.mean

    model = model_of(Centered())
    model.fit(X, Y, batch_size=40, epochs=2, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.layers[0].mean.numpy(), 0.75 * X.mean(axis=0), atol=1e-6)
    kept = model.layers[0].mean.numpy()
    model.predict(X, verbose=0)
    model.evaluate(X, Y, verbose=0)
    np.testing.assert_array_equal(kept, model.layers[0].mean.numpy())


def test_custom_optimizer_trains() -> None:
    class Signs(keras.optimizers.Optimizer):
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            self.assign_sub(variable, learning_rate * keras.ops.sign(gradient))

    model = model_of(optimizer=Signs(0.01))
    losses = model.fit(X, Y, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert int(model.optimizer.iterations.numpy()) == 10


def test_float64_throughout() -> None:
    keras.config.set_floatx("float64")
    try:
        model = model_of(keras.layers.Dense(3, activation="tanh"))
        model.fit(X.astype("float64"), Y, verbose=0)
        assert model.predict(X, verbose=0).dtype == np.float64
        assert model.get_weights()[0].dtype == np.float64
    finally:
        keras.config.set_floatx("float32")


class Watched(keras.layers.Layer):
    """Keeps the mean of its inputs' squares in a metric that it updates itself."""

    def __init__(self) -> None:
        super().__init__()
        self.power = keras.metrics.Mean(name="power")

    def call(self, x: Any) -> Any:
        self.power.update_state(keras.ops.mean(keras.ops.square(x)))
        return x


class WatchedModel(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.power = keras.metrics.Mean(name="power")
        self.dense = keras.layers.Dense(1)

    def call(self, x: Any) -> Any:
        self.power.update_state(keras.ops.mean(keras.ops.square(x)))
        return self.dense(x)


@pytest.mark.parametrize(
    "make",
    [lambda: keras.Sequential([keras.Input((2,)), Watched(), keras.layers.Dense(1)]), WatchedModel],
    ids=["layer", "model"],
)
def test_metrics_that_are_updated_in_call(make: Any) -> None:
    x = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
    model = make()
    model.compile("sgd", "mse")
    history = model.fit(x, x[:, 0], batch_size=4, epochs=2, verbose=0).history
    expected = float(np.mean(np.square(x)))
    np.testing.assert_allclose(history["power"], expected, rtol=1e-6)
    logs = model.evaluate(x, x[:, 0], batch_size=2, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["power"], expected, rtol=1e-6)
