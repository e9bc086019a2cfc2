"""Every layout, type and table trains, evaluates and predicts like the same numbers in C order, at
the cost of one copy that the core can read, or none.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import densekit as keras
from densekit.engines import NativeEngine

ROWS, COLUMNS = 20_000, 100
NUMBERS = np.random.default_rng(0).integers(0, 9, (ROWS, COLUMNS))
NUMBERS[:, 5] %= 2
X = NUMBERS.astype("float32")
Y = (X @ np.linspace(-1, 1, COLUMNS, dtype="float32"))[:, None] / 10
COPY = X.nbytes  # of one float32 copy


def strided(values: Any) -> Any:
    wide = np.zeros((ROWS, 2 * COLUMNS), values.dtype)
    wide[:, ::2] = values
    return wide[:, ::2]


def backwards(values: Any) -> Any:
    return np.ascontiguousarray(values[:, ::-1])[:, ::-1]


def every_second_row(values: Any) -> Any:
    long = np.zeros((2 * ROWS, COLUMNS), values.dtype)
    long[::2] = values
    return long[::2]


def one_bool_column(values: Any) -> Any:
    frame = pd.DataFrame(values.astype("float64"))
    frame[5] = frame[5] > 0
    return frame


def one_column_of_objects(values: Any) -> Any:
    frame = pd.DataFrame(values.astype("float64"))
    frame[7] = frame[7].astype(object)
    return frame


def column_by_column(values: Any) -> Any:
    frame = pd.DataFrame(index=range(ROWS))
    for j in range(COLUMNS):
        frame.insert(j, f"c{j}", values[:, j].astype("float64"))
    return frame


def nullable(values: Any) -> Any:
    return pd.DataFrame(values).astype({3: "Int64", 4: "Float32", 5: "boolean"})


def scaled(values: Any) -> Any:
    """What scikit-learn's scalers give for frames: Fortran order."""
    return np.asfortranarray(values, "float64")


Make = Callable[[Any], Any]

# Name: how it is made, and bytes that training may take beside it, as a share of a float32 copy.
LAYOUTS: dict[str, tuple[Make, float]] = {
    "C order": (lambda v: v.astype("float32"), 0),
    "float64": (lambda v: v.astype("float64"), 0),
    "uint8": (lambda v: v.astype("uint8"), 0),
    "int64": (lambda v: v.astype("int64"), 0),
    "float16": (lambda v: v.astype("float16"), 0),
    "every second row": (every_second_row, 0),
    "rows backwards": (lambda v: np.ascontiguousarray(v[::-1], "float64")[::-1], 0),
    "some columns": (lambda v: np.hstack([v, v]).astype("float32")[:, :COLUMNS], 0),
    "Fortran float32": (lambda v: np.asfortranarray(v, "float32"), 1),
    "Fortran float64": (scaled, 1),
    "Fortran uint8": (lambda v: np.asfortranarray(v, "uint8"), 0.25),
    "Fortran int64": (lambda v: np.asfortranarray(v, "int64"), 1),
    "every second column": (lambda v: strided(v.astype("float64")), 1),
    "columns backwards": (lambda v: backwards(v.astype("float64")), 1),
    "swapped bytes": (lambda v: v.astype(">f8"), 1),
    "swapped 16 bits": (lambda v: v.astype(">i2"), 0.5),
    "long double": (lambda v: v.astype("longdouble"), 1),
    "objects": (lambda v: v.astype(object), 1),
    "frame": (lambda v: pd.DataFrame(v.astype("float64")), 1),
    "frame of integers": (lambda v: pd.DataFrame(v), 1),
    "frame with a bool column": (one_bool_column, 1),
    "frame with a column of objects": (one_column_of_objects, 1),
    "frame made by columns": (column_by_column, 1),
    "frame with nullable columns": (nullable, 1),
    "sparse rows": (lambda v: scipy.sparse.csr_matrix(v.astype("float64")), 0.5),
    "sparse array": (lambda v: scipy.sparse.csr_array(v), 0.5),
}


def model_of() -> Any:
    model = keras.Sequential(
        [keras.Input((COLUMNS,)), keras.layers.Dense(1, kernel_initializer="zeros")]
    )
    model.compile(keras.optimizers.SGD(1e-4), "mse", metrics=["mae"])
    return model


def fitted(x: Any, y: Any, **arguments: Any) -> tuple[Any, Any]:
    """A model trained on rows in the one order that all have here, and its history."""
    keras.utils.set_random_seed(0)
    model = model_of()
    fit = {"batch_size": 50, "epochs": 2, "verbose": 0, **arguments}
    return model, model.fit(x, y, **fit).history


def results(x: Any, y: Any = Y) -> list[Any]:
    model, history = fitted(x, y, validation_data=(x, y))
    evaluated = model.evaluate(x, y, batch_size=50, verbose=0)
    return [*history.values(), *model.get_weights(), evaluated, model.predict(x, verbose=0)]


@pytest.fixture(scope="module")
def expected() -> list[Any]:
    return results(X)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_numbers_are_those_of_c_order(layout: str, expected: list[Any]) -> None:
    found = results(LAYOUTS[layout][0](NUMBERS))
    for i, (ours, wanted) in enumerate(zip(found, expected, strict=True)):
        if i < 4 or i == len(found) - 2:  # means over blocks, whose lengths may differ
            np.testing.assert_allclose(ours, wanted, rtol=1e-6)
        else:
            np.testing.assert_array_equal(ours, wanted)


@pytest.mark.parametrize("what", ["fit", "evaluate", "predict", "validation"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_beside_the_data(layout: str, what: str) -> None:
    make, share = LAYOUTS[layout]
    x, model = make(NUMBERS), model_of()
    model.fit(X[:100], Y[:100], verbose=0)
    model.evaluate(X[:100], Y[:100], verbose=0)
    calls: dict[str, Callable[[], Any]] = {
        "fit": lambda: model.fit(x, Y, verbose=0, batch_size=100),
        "evaluate": lambda: model.evaluate(x, Y, verbose=0),
        "predict": lambda: model.predict(x, verbose=0),
        "validation": lambda: model.fit(X[:100], Y[:100], verbose=0, validation_data=(x, Y)),
    }
    tracemalloc.start()
    calls[what]()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Beside a copy: order, predictions and targets of the rows, and some blocks.
    rest = ROWS * (8 + 4 * 4 + 8) + (1 << 20)
    assert peak <= 1.2 * share * COPY + rest


def test_a_split_sparse_matrix_stays_sparse() -> None:
    x = scipy.sparse.random(4000, 1000, 0.001, "csr", "float32", np.random.default_rng(0))
    model = keras.Sequential([keras.Input((1000,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    tracemalloc.start()
    model.fit(x, np.ones(4000), validation_split=0.5, verbose=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4000 * 1000 * 4 / 4


def test_the_measure_of_memory_can_fail() -> None:
    tracemalloc.start()
    kept = X.astype("float64")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak >= kept.nbytes > 1.2 * COPY + 8 * ROWS


@pytest.fixture
def trained_on(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The inputs of each native call of training."""
    seen: list[Any] = []
    train = NativeEngine.train

    def recorded(self: Any, rows: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(rows.inputs[0])
        return train(self, rows, *args, **kwargs)

    monkeypatch.setattr(NativeEngine, "train", recorded)
    return seen


class EachBatch(keras.callbacks.Callback):
    """Makes every batch a native call."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        pass


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_fit_converts_once(layout: str, trained_on: list[Any]) -> None:
    x = LAYOUTS[layout][0](NUMBERS[:])
    model_of().fit(x, Y, batch_size=2000, epochs=2, verbose=0, callbacks=[EachBatch()])
    assert len(trained_on) == 20
    if scipy.sparse.issparse(x):
        assert {rows.shape for rows in trained_on} == {(2000, COLUMNS)}
    else:
        assert all(rows is trained_on[0] for rows in trained_on)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["uint8", "float32", ">f4"])
def test_files_are_read_block_by_block(
    tmp_path: Any, trained_on: list[Any], dtype: str, order: Any, expected: list[Any]
) -> None:
    mapped = np.memmap(tmp_path / "x", dtype, "w+", shape=X.shape, order=order)
    mapped[...] = NUMBERS
    for x in (mapped, mapped[:], np.asarray(mapped)):
        trained_on.clear()
        tracemalloc.start()
        model, _ = fitted(x, Y)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        np.testing.assert_array_equal(model.get_weights()[0], expected[4])
        if order == "C" and dtype != ">f4":
            assert all(np.shares_memory(rows, mapped) for rows in trained_on)
            assert peak < 0.5 * COPY
        else:
            assert all(len(rows) <= 8192 for rows in trained_on)


SPLIT = ["C order", "Fortran float64", "frame with a bool column", "sparse rows"]


@pytest.mark.parametrize("layout", SPLIT)
def test_a_split_keeps_the_last_rows(layout: str) -> None:
    x = LAYOUTS[layout][0](NUMBERS)
    at = ROWS * 3 // 4
    _, split = fitted(x, Y, validation_split=0.25)
    _, given = fitted(X[:at], Y[:at], validation_data=(X[at:], Y[at:]))
    for key in given:
        np.testing.assert_allclose(split[key], given[key], rtol=1e-6)


def test_batches_of_streams_may_have_any_layout() -> None:
    for make, _ in LAYOUTS.values():
        x, ours, other = make(NUMBERS), model_of(), model_of()
        part = x.iloc[:64] if isinstance(x, pd.DataFrame) else x[:64]
        ours.fit(((part, Y[:64]) for _ in range(3)), steps_per_epoch=3, verbose=0)
        for _ in range(3):
            other.train_on_batch(part, Y[:64])
        np.testing.assert_array_equal(ours.get_weights()[0], other.get_weights()[0])


def test_a_view_of_a_column_is_a_target() -> None:
    table = np.hstack([X, Y])
    viewed, _ = fitted(table[:, :-1], table[:, -1])
    own, _ = fitted(X, Y)
    np.testing.assert_array_equal(viewed.get_weights()[0], own.get_weights()[0])
