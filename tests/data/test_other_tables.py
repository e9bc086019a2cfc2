"""Tables of polars and Arrow, and loaders of torch: known by what they have, read as arrays are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import densekit as keras

NAMES = ("a", "b", "c")


@pytest.fixture
def array(rng: np.random.Generator) -> np.ndarray[Any, Any]:
    return rng.normal(size=(100, 3)).astype("float32")


def polars(columns: dict[str, Any]) -> Any:
    return pl.DataFrame(columns)


def arrow(columns: dict[str, Any]) -> Any:
    return pa.table(columns)


def record_batch(columns: dict[str, Any]) -> Any:
    return pa.record_batch(columns)


TABLES = [polars, arrow, record_batch]


def trained(x: Any, y: Any) -> tuple[Any, list[float]]:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model, model.fit(x, y, epochs=2, verbose=0).history["loss"]


@pytest.mark.parametrize("table", TABLES)
def test_training_is_that_on_the_array(table: Any, array: Any) -> None:
    y = array @ np.array([1, 2, 3], "float32")
    x = table({name: array[:, i] for i, name in enumerate(NAMES)})
    model, losses = trained(x, table({"t": y}))
    assert losses == trained(array, y[:, None])[1]
    assert model.evaluate(x, y, verbose=0) == model.evaluate(array, y, verbose=0)


@pytest.mark.parametrize("table", TABLES)
def test_columns_go_by_name(table: Any, array: Any) -> None:
    columns = {name: array[:, i] for i, name in enumerate(NAMES)}
    model, _ = trained(table(columns), array[:, 0])
    reordered = table({name: columns[name] for name in reversed(NAMES)})
    np.testing.assert_array_equal(
        model.predict(reordered, verbose=0), model.predict(array, verbose=0)
    )
    with pytest.raises(ValueError, match="no column 'c', also 'z'"):
        model.predict(table({"a": array[:, 0], "b": array[:, 1], "z": array[:, 2]}), verbose=0)


@pytest.mark.parametrize("table", TABLES)
def test_columns_of_several_types_are_one_array(table: Any, array: Any) -> None:
    columns = {"a": array[:, 0], "b": (array[:, 1] * 10).astype(int), "c": array[:, 2] > 0}
    joined = np.stack([np.asarray(c, "float32") for c in columns.values()], axis=1)
    np.testing.assert_array_equal(
        trained(table(columns), array[:, 0])[1], trained(joined, array[:, 0])[1]
    )


@pytest.mark.parametrize("table", TABLES)
def test_a_column_of_text_and_a_missing_value_are_named(table: Any, array: Any) -> None:
    columns: dict[str, Any] = {"a": array[:, 0], "b": array[:, 1], "c": ["u", "v"] * 50}
    with pytest.raises(ValueError, match="`x` column 'c': expected numbers, got text"):
        trained(table(columns), array[:, 0])
    columns["c"] = [None, *range(99)]
    with pytest.warns(RuntimeWarning, match=r"nan in `x` column 2 \('c'\), row 0"):
        trained(table(columns), array[:, 0])


@pytest.mark.parametrize("table", TABLES)
def test_labels_stay_integers(table: Any, array: Any) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(array, table({"class": np.arange(100) % 3}), verbose=0).history
    assert 0 <= history["accuracy"][0] <= 1


class Tensor:
    """Like a tensor of torch: an array behind a protocol, and no subclass of one."""

    def __init__(self, value: Any) -> None:
        self._value = np.asarray(value)
        self.shape, self.dtype, self.ndim = value.shape, "torch.float32", value.ndim

    def __len__(self) -> int:
        return len(self._value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self._value, dtype)


class Loader:
    """Like torch's ``DataLoader``: lists of tensors, a length, a new order for each pass."""

    def __init__(self, *arrays: Any, batch_size: int) -> None:
        self._arrays, self._size = arrays, batch_size

    def __len__(self) -> int:
        return -(-len(self._arrays[0]) // self._size)

    def __iter__(self) -> Iterator[list[Tensor]]:
        for start in range(0, len(self._arrays[0]), self._size):
            yield [Tensor(array[start : start + self._size]) for array in self._arrays]


def loader(*arrays: Any) -> Any:
    torch = sys.modules.get("torch")
    if torch is None:
        return Loader(*arrays, batch_size=32)
    data = torch.utils.data.TensorDataset(*map(torch.as_tensor, arrays))
    return torch.utils.data.DataLoader(data, batch_size=32)


def test_a_loader_of_torch_is_a_stream_of_batches(array: Any) -> None:
    y = array @ np.array([[1], [2], [3]], "float32")
    keras.utils.set_random_seed(1)
    plain = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    plain.compile("sgd", "mse")
    expected = plain.fit(array, y, epochs=2, shuffle=False, verbose=0).history["loss"]
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert model.fit(loader(array, y), epochs=2, verbose=0).history["loss"] == expected
    assert model.evaluate(loader(array, y), verbose=0) == plain.evaluate(array, y, verbose=0)
    np.testing.assert_array_equal(
        model.predict(loader(array), verbose=0), plain.predict(array, verbose=0)
    )


def test_none_of_these_libraries_is_imported() -> None:
    code = (
        "import sys, numpy as np, densekit as k;"
        "m = k.Sequential([k.Input((3,)), k.layers.Dense(1)]); m.compile('sgd', 'mse');"
        "m.fit(np.ones((4, 3)), np.ones(4), verbose=0);"
        "print([n for n in ('pandas', 'polars', 'pyarrow', 'torch') if n in sys.modules])"
    )
    environment = {"PYTHONPATH": str(Path(keras.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == "[]"
