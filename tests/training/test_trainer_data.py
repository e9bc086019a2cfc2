"""What data `fit`, `evaluate` and `predict` accept: arrays, tables, streams, data sets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.training.small_regression import X, Y, assert_same, model_of, trained

import densekit as keras


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
