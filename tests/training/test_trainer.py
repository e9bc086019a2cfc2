"""`compile`, `fit`, `evaluate`, `predict`: what they accept, give back and leave behind."""

from __future__ import annotations

import copy
import gc
import itertools
import pickle
import threading
import time
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import densekit as keras

X = np.linspace(-1, 1, 160).reshape(40, 4).astype("float32")
Y = (X @ np.array([1.0, -2.0, 3.0, 0.5], "float32")).astype("float32")


def model_of(*hidden: Any, units: int = 1, **compile_args: Any) -> Any:
    model = keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(units)])
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compile_args})
    return model


def trained(x: Any, y: Any, **fit: Any) -> list[npt.NDArray[Any]]:
    """Weights after training a fresh model on the data."""
    keras.utils.set_random_seed(5)
    model = model_of(keras.layers.Dense(3, activation="tanh"))
    model.fit(x, y, **{"verbose": 0, "batch_size": 8, "shuffle": False, **fit})
    weights: list[npt.NDArray[Any]] = model.get_weights()
    return weights


def assert_same(a: list[npt.NDArray[Any]], b: list[npt.NDArray[Any]]) -> None:
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one, other)


class Frame:
    """Looks like a data frame: columns by name, `__array__`, length."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self._array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> npt.NDArray[Any]:
        return np.array(self._array, dtype)

    def __len__(self) -> int:
        return len(self._array)

    def __iter__(self) -> Iterator[str]:
        return iter("abcd")

    def __getitem__(self, key: Any) -> Any:
        return self._array[key]


# Data


@pytest.mark.parametrize(
    "convert",
    [
        lambda a: a.astype("float64"),
        lambda a: np.asfortranarray(a),
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: np.ascontiguousarray(a[::-1])[::-1],
        lambda a: a.astype(">f4"),
        lambda a: a.astype(np.longdouble),
        Frame,
        lambda a: np.lib.format.open_memmap,  # replaced below: a memory-mapped file
    ],
    ids=[
        "float64",
        "fortran",
        "strided",
        "reversed",
        "big-endian",
        "longdouble",
        "frame",
        "memmap",
    ],
)
def test_layouts_and_types_train_alike(convert: Any, tmp_path: Any) -> None:
    def prepared(array: npt.NDArray[Any], name: str) -> Any:
        result = convert(array)
        if callable(result):
            np.save(tmp_path / name, array)
            return np.load(tmp_path / f"{name}.npy", mmap_mode="r")
        return result

    assert_same(trained(X, Y), trained(prepared(X, "x"), prepared(Y, "y")))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "uint64", "bool"])
def test_integers_are_numbers(dtype: str) -> None:
    x = (np.arange(160).reshape(40, 4) % 2).astype(dtype)
    assert_same(trained(x.astype("float32"), Y), trained(x, Y))


def test_arrays_are_not_copied_or_written() -> None:
    x, y = X.copy(), Y.copy()
    x.flags.writeable = y.flags.writeable = False
    trained(x, y, shuffle=True)
    np.testing.assert_array_equal(x, X)


def test_target_of_one_axis_or_two() -> None:
    assert_same(trained(X, Y), trained(X, Y[:, None]))


def test_streams_train_like_arrays() -> None:
    batches = [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 40, 8)]

    class Sequence:
        def __len__(self) -> int:
            return 5

        def __getitem__(self, i: int) -> Any:
            return batches[i]

    class Iterable:
        def __iter__(self) -> Any:
            return iter(batches)

    expected = trained(X, Y, epochs=2)
    assert_same(expected, trained(Sequence(), None, epochs=2, batch_size=None))
    assert_same(expected, trained(Iterable(), None, epochs=2, batch_size=None))
    endless = (batches[i % 5] for i in range(1000))
    assert_same(expected, trained(endless, None, epochs=2, steps_per_epoch=5, batch_size=None))
    weighted = [(x, y, np.ones(8)) for x, y in batches]
    assert_same(expected, trained((b for b in weighted * 2), None, epochs=2, steps_per_epoch=5))


def test_datasets_by_number() -> None:
    class Numbered(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__()
            self.asked: list[int] = []

        def __len__(self) -> int:
            return 5

        def __getitem__(self, index: int) -> Any:
            self.asked.append(index)
            return X[8 * index : 8 * index + 8], Y[8 * index : 8 * index + 8]

    model = model_of()
    train, validation = Numbered(), Numbered()
    model.fit(train, epochs=2, verbose=0, validation_data=validation)
    assert sorted(train.asked[:5]) == sorted(train.asked[5:]) == list(range(5))
    assert train.asked[:5] != train.asked[5:]
    assert validation.asked == [*range(5), *range(5)]
    assert model.predict(Numbered(), verbose=0).shape == (40, 1)


def test_iterating_a_data_set_ends_after_its_length() -> None:
    class Numbered(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Any:
            return index  # also beyond the length, as data sets of the wild do

    assert list(Numbered()) == [0, 1, 2]
    assert sum(Numbered()) == 3

    class Endless(Numbered):
        num_batches = None

    assert list(itertools.islice(Endless(), 5)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize("hooks", [True, False])
def test_a_source_without_batches_is_an_error(hooks: bool, method: str) -> None:
    class Empty(keras.utils.PyDataset):
        if hooks:

            def on_epoch_begin(self) -> None:
                pass

        def __len__(self) -> int:
            return 0

    for model in (model_of(), model_of()):
        model.fit(X, Y, verbose=0)
        for source in (Empty(), iter([])):
            with pytest.raises(ValueError, match="at least one batch"):
                getattr(model, method)(source, verbose=0)


def test_a_data_set_without_a_length_is_named() -> None:
    class Nameless(keras.utils.PyDataset):
        def __getitem__(self, index: int) -> Any:
            return X[:8], Y[:8]

    with pytest.raises(NotImplementedError, match=r"Nameless.*__len__"):
        model_of().fit(Nameless(), verbose=0)


def test_batches_of_several_sizes() -> None:
    model = keras.Sequential([keras.Input((None, 3)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    batches = [(np.ones((4, n, 3)), np.full((4, n, 2), n)) for n in (2, 5, 3)]
    alone = [model.evaluate(*batch, verbose=0) for batch in batches]
    assert model.evaluate(Batches(batches), verbose=0) == pytest.approx(np.mean(alone), rel=1e-6)
    assert np.isfinite(model.fit(Batches(batches), epochs=2, verbose=0).history["loss"]).all()


class Batches:
    """Can be iterated again and again."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Any:
        return iter(self.batches)


def test_steps_beyond_an_iterable_without_length() -> None:
    # Keras refuses such a source. It goes on as a data set does, and has no length to count by.
    model = model_of()
    source = Batches([(X[:8], Y[:8]), (X[8:16], Y[8:16]), (X[16:24], Y[16:24])])
    model.fit(source, steps_per_epoch=3, epochs=1, verbose=0)
    assert int(model.optimizer.iterations) == 3
    with pytest.warns(UserWarning, match="ran out of data"):
        model.fit(source, steps_per_epoch=2, epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == 6


def test_an_epoch_for_which_nothing_is_left_repeats_the_numbers_before() -> None:
    model = model_of()
    with pytest.warns(UserWarning, match="ran out of data"):
        history = model.fit(
            ((X[:8], Y[:8]) for _ in range(2)), steps_per_epoch=2, epochs=2, verbose=0
        )
    assert int(model.optimizer.iterations) == 2
    assert history.history["loss"][1] == history.history["loss"][0] > 0


def test_a_generator_that_ends_early_warns() -> None:
    model = model_of()
    source = ((X[:8], Y[:8]) for _ in range(3))
    with pytest.warns(UserWarning, match="ran out of data"):
        history = model.fit(source, steps_per_epoch=5, epochs=1, verbose=0)
    assert len(history.epoch) == 1


def test_predict_and_evaluate_streams() -> None:
    model = model_of(metrics=["mae"])
    expected = model.predict(X, verbose=0)
    batches = [X[i : i + 8] for i in range(0, 40, 8)]
    np.testing.assert_array_equal(model.predict(iter(batches), steps=5, verbose=0), expected)
    pairs = ((X[i : i + 8], Y[i : i + 8]) for i in range(0, 40, 8))
    streamed = model.evaluate(pairs, steps=5, verbose=0)
    assert streamed == pytest.approx(model.evaluate(X, Y, batch_size=8, verbose=0), rel=1e-6)


def test_jax_arrays_are_data() -> None:
    import jax.numpy as jnp

    assert_same(trained(X, Y), trained(jnp.asarray(X), jnp.asarray(Y)))


# Results


def test_predict_is_the_call() -> None:
    model = model_of(keras.layers.Dense(7, activation="gelu"), units=3)
    outputs = model.predict(X, verbose=0)
    for other in (
        model(X),
        model.predict(X, batch_size=1),
        model.predict(X, batch_size=7, verbose=0),
        model.predict_on_batch(X),
        np.concatenate([model(X[i : i + 1]) for i in range(40)]),
        model.predict(X[::-1])[::-1],
        model.predict(X.astype("float64")),
        model.predict([X]),
    ):
        assert other.dtype == np.float32
        np.testing.assert_array_equal(outputs, other)


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows(rows: int) -> None:
    model = model_of(units=3)
    assert model.predict(X[:rows], verbose=0).shape == (rows, 3)
    assert model.predict_on_batch(X[:rows]).shape == (rows, 3)
    assert model(X[:rows]).shape == (rows, 3)


def test_structures_of_outputs() -> None:
    x = keras.Input((4,), name="x")
    dense = keras.layers.Dense(2)
    named = keras.Model({"x": x}, {"b": dense(x), "a": keras.layers.Dense(3)(x)})
    outputs = named.predict({"x": X}, verbose=0)
    assert {key: value.shape for key, value in outputs.items()} == {"b": (40, 2), "a": (40, 3)}
    np.testing.assert_array_equal(outputs["a"], named({"x": X})["a"])
    named.compile("sgd", {"a": "mse", "b": "mae"}, metrics={"a": ["mae"]})
    targets = {"a": np.zeros((40, 3)), "b": np.zeros((40, 2))}
    assert sorted(named.fit({"x": X}, targets, verbose=0).history) == [
        "a_loss",
        "a_mae",
        "b_loss",
        "loss",
    ]


def test_evaluate_gives_loss_then_metrics() -> None:
    model = model_of(metrics=["mae", "mse"], weighted_metrics=["msle"])
    values = model.evaluate(X, Y, verbose=0)
    named = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert values == [named["loss"], named["mae"], named["mse"], named["msle"]]
    assert all(type(value) is float for value in values)
    assert model.metrics_names == ["loss", "compile_metrics"]
    assert type(model_of().evaluate(X, Y, verbose=0)) is float


def test_evaluate_steps() -> None:
    model = model_of()
    first = model.evaluate(X, Y, batch_size=8, steps=2, verbose=0)
    assert first == model.evaluate(X[:16], Y[:16], batch_size=8, verbose=0)


def test_compute_loss_is_what_evaluate_says() -> None:
    model = model_of(keras.layers.Dense(3, kernel_regularizer="l2"))
    weight = np.linspace(0, 1, 40).astype("float32")
    by_definition = model.compute_loss(X, Y, model.predict(X, verbose=0), weight)
    natively = model.evaluate(X, Y, sample_weight=weight, batch_size=40, verbose=0)
    assert float(by_definition) == pytest.approx(natively, rel=1e-6)


def test_metrics_are_reset_between_batches_and_epochs() -> None:
    model = model_of(metrics=["mae"])
    once = model.test_on_batch(X, Y)
    assert model.test_on_batch(X, Y) == once
    history = model.fit(X, Y, epochs=2, verbose=0).history
    assert history["mae"][1] < history["mae"][0]


def test_metrics_of_the_user_see_single_batches() -> None:
    sizes: list[int] = []

    class Rows(keras.metrics.Metric):
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            sizes.append(len(y_pred))

        def result(self) -> float:
            return float(sum(sizes))

    model = model_of(metrics=[Rows(name="rows")])
    assert model.fit(X, Y, batch_size=16, verbose=0).history["rows"] == [40.0]
    assert sizes == [16, 16, 8]


def test_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    model = model_of()
    model.fit(X, Y, verbose=0)
    model.evaluate(X, Y, verbose=0)
    model.predict(X)
    assert capsys.readouterr().out == ""
    model.fit(X, Y, epochs=2)
    assert "Epoch 2/2" in capsys.readouterr().out
    model.predict(X, verbose=1)
    assert "2/2" in capsys.readouterr().out


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


class Table:
    """What a table of columns of several types looks like to NumPy, as in pandas."""

    def __init__(self, columns: list[np.ndarray]) -> None:
        self.columns = columns
        self.dtypes = [column.dtype for column in columns]
        self.shape = (len(columns[0]), len(columns))

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        mixed = len(set(self.dtypes)) > 1
        return np.stack(self.columns, axis=1, dtype=object if mixed else None).astype(
            (object if mixed else self.dtypes[0]) if dtype is None else dtype
        )


def test_tables_of_numbers_of_several_types() -> None:
    rng = np.random.default_rng(0)
    columns = [rng.normal(size=9), rng.normal(size=9) > 0, rng.integers(0, 5, 9)]
    table = Table(columns)
    x = np.stack(columns, axis=1, dtype="float32", casting="unsafe")
    y = x.sum(axis=1)
    model, clone = (
        keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
        for _ in range(2)
    )
    expected = model.predict(x, verbose=0)
    np.testing.assert_array_equal(model.predict(table, verbose=0), expected)
    np.testing.assert_array_equal(model(table), expected)
    np.testing.assert_array_equal(model(np.ma.array(x)), expected)
    np.testing.assert_allclose(model.layers[0](table), expected, rtol=1e-6)
    for net, data in ((model, x), (clone, table)):
        net.compile("adam", "mse")
        net.fit(data, np.stack([y, y], axis=1), shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], clone.get_weights()[0])
    with pytest.raises(ValueError, match="numbers"):
        model.predict(Table([*columns[:2], np.array(["1"] * 9)]), verbose=0)


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
