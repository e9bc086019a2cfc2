"""Columns from lists, tables and sparse matrices, one by one."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import densekit as keras
from densekit.data._arrays import SparseRows, as_array, numbers_as_arrays, readable_once

X = np.linspace(-1, 1, 24).reshape(12, 2).astype("float32")
Y = X.sum(axis=1)


def regression(units: int = 1) -> Any:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(units)])
    model.compile("sgd", "mse", weighted_metrics=["mae"])
    return model


def two_outputs() -> Any:
    inputs = keras.Input((2,))
    outputs = [keras.layers.Dense(1, name="a")(inputs), keras.layers.Dense(2, name="b")(inputs)]
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    return model


def trained(make: Any, *data: Any, **fit: Any) -> list[Any]:
    keras.utils.set_random_seed(0)
    model = make()
    history = model.fit(*data, epochs=2, batch_size=4, verbose=0, **fit).history
    return [*history.values(), *model.get_weights()]


def assert_same(ours: list[Any], other: list[Any]) -> None:
    for a, b in zip(ours, other, strict=True):
        np.testing.assert_array_equal(a, b)


# Lists


@pytest.mark.parametrize("make", [list, tuple])
def test_lists_of_numbers_are_targets_and_weights(make: Any) -> None:
    weights = np.linspace(1, 2, 12).astype("float32")
    expected = trained(regression, X, Y, sample_weight=weights)
    listed = {"sample_weight": make(weights.tolist())}
    assert_same(expected, trained(regression, X, make(Y.tolist()), **listed))
    assert_same(expected, trained(regression, X, make(Y[:, None].tolist()), **listed))
    assert_same(expected, trained(regression, X, make(Y), **listed))  # of NumPy's numbers
    model, clone = regression(), regression()
    clone.set_weights(model.get_weights())
    assert model.evaluate(X, make(Y.tolist()), verbose=0) == clone.evaluate(X, Y, verbose=0)
    assert model.train_on_batch(X, make(Y.tolist())) == clone.train_on_batch(X, Y)
    split = trained(regression, X, make(Y.tolist()), validation_split=0.25)
    assert_same(split, trained(regression, X, Y, validation_split=0.25))
    batches = ((X[:4], make(Y[:4].tolist())) for _ in range(2))
    regression().fit(batches, steps_per_epoch=2, verbose=0)


@pytest.mark.parametrize("split", [0.0, 0.25])
def test_a_list_for_each_output(split: float) -> None:
    second = X[:, ::-1].copy()
    expected = trained(two_outputs, X, [Y, second], validation_split=split)
    listed = [Y.tolist(), second.tolist()]
    assert_same(expected, trained(two_outputs, X, listed, validation_split=split))
    assert_same(expected, trained(two_outputs, X, [Y, listed[1]], validation_split=split))
    named = {"a": listed[0], "b": second}
    assert_same(expected, trained(two_outputs, X, named, validation_split=split))


def test_labels_in_a_list() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, [0, 1, 2] * 4, verbose=0)
    assert model.evaluate(X, np.array([0, 1, 2] * 4), verbose=0) == model.evaluate(
        X, [0, 1, 2] * 4, verbose=0
    )


def test_which_lists_are_arrays() -> None:
    Pair = namedtuple("Pair", "x y")
    assert numbers_as_arrays([1, 2, True]).tolist() == [1, 2, 1]
    assert numbers_as_arrays([1.5, 2]).dtype == "float32"
    assert numbers_as_arrays([[1], [2]]).shape == (2, 1)
    assert [a.tolist() for a in numbers_as_arrays([[1, 2], [3, 4]], 2)] == [[1, 2], [3, 4]]
    for other in ([], ["a", "b"], [X, Y], Pair(X, Y), {"a": X}, X, None):
        assert numbers_as_arrays(other) is other or isinstance(other, dict)


# Tables


def frame(**columns: Any) -> Any:
    return pd.DataFrame({"a": np.arange(4.0), "b": [True, False, True, False], **columns})


def test_the_memory_of_one_block_is_not_copied() -> None:
    table = pd.DataFrame(np.arange(12.0).reshape(6, 2))
    assert np.shares_memory(as_array(table, "x"), table.to_numpy())


def test_two_columns_of_one_type_are_converted_once() -> None:
    """Two addresses always lie at equal distances."""
    table = pd.DataFrame({"a": np.arange(4.0)})
    table["b"] = np.arange(4.0)
    assert as_array(table, "x").dtype == "float32"


LETTERS = ["u", "v", "u", "v"]
HOURS = pd.to_datetime(["2020-01-01 00:00", "2020-01-01 01:00"] * 2)


@pytest.mark.parametrize(
    ("column", "kind", "action"),
    [
        (LETTERS, "text", "x = pd.get_dummies(x, columns=['c'], dtype=float)"),
        (pd.array(LETTERS, "string"), "text", "x = pd.get_dummies(x, columns=['c'], dtype=float)"),
        (pd.Categorical(LETTERS), "categories", "x['c'] = x['c'].cat.codes"),
        (HOURS, "times", "x['c'] = (x['c'] - x['c'].min()).dt.total_seconds()"),
        (HOURS - HOURS[0], "durations", "x['c'] = x['c'].dt.total_seconds()"),
        ([1.0, "2", 3.0, 4.0], "numbers written as text", "x['c'] = pd.to_numeric(x['c'])"),
    ],
    ids=["text", "strings", "categories", "times", "durations", "written"],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_column_that_holds_no_numbers_is_named_with_the_line_that_encodes_it(
    column: Any, kind: str, action: str, dtype: str
) -> None:
    x = frame(c=column)
    with pytest.raises(ValueError, match=rf"`x` column 'c': .*{kind}") as error:
        as_array(x, "x", dtype)
    assert action in str(error.value)
    names: dict[str, Any] = {"x": x, "pd": pd}
    exec(action, names)  # the line does what it says
    assert as_array(names["x"], "x", dtype).shape[0] == 4


TEXT_LABELS = [
    np.array(LETTERS),
    np.array(LETTERS, object),
    pd.Series(LETTERS),
    pd.Series(LETTERS, dtype="string"),
    pd.Series(LETTERS, dtype="category"),
]


@pytest.mark.parametrize("y", [*TEXT_LABELS, LETTERS], ids=lambda y: type(y).__name__)
def test_labels_of_text_come_with_the_line_that_encodes_them(y: Any) -> None:
    line = "classes, y = np.unique(y, return_inverse=True)"
    with pytest.raises(ValueError, match=r"`y`: expected numbers") as error:
        regression().fit(X[:4], y, verbose=0)
    assert line in str(error.value)
    names: dict[str, Any] = {"y": y, "np": np}
    exec(line, names)
    assert names["y"].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    "values",
    [
        pd.array([1, None, 3, 4], "Int64"),
        pd.array([1, None, 3, 4], "UInt8"),
        pd.array([1, None, 3, 4], "Float32"),
        pd.array([True, None, False, True], "boolean"),
        np.array([1, pd.NA, 3, 4], object),
        np.array([1.5, None, True, 4], object),
    ],
    ids=["Int64", "UInt8", "Float32", "boolean", "object with NA", "object with None"],
)
def test_what_is_missing_among_numbers_is_nan(values: Any) -> None:
    for table in (frame(c=values), frame(c=values)[["c"]], frame(c=values)[["a", "c"]]):
        for what in ("x", "y"):
            read = as_array(table, what)
            assert read.dtype.kind == "f"
            assert np.isnan(read[:, -1]).tolist() == [False, True, False, False]
    assert np.isnan(as_array(pd.Series(values), "y")).tolist() == [False, True, False, False]
    if isinstance(values, np.ndarray):
        assert np.isnan(as_array(values, "x")).tolist() == [False, True, False, False]


def test_missing_values_are_told_with_their_column() -> None:
    x = pd.DataFrame({"age": pd.array([1, 2, None, 4], "Int64"), "size": np.arange(4.0)})
    with pytest.warns(RuntimeWarning, match=r"column 0 \('age'\), row 2"):
        regression().fit(x, Y[:4], verbose=0)


def test_columns_of_every_kind_are_numbers() -> None:
    table = frame(
        c=pd.array([1, 2, 3, 4], "Int64"),
        d=pd.array([True, False, True, True], "boolean"),
        e=pd.Categorical([5, 6, 5, 6]),
        f=np.array([1, 2.5, True, np.float32(4)], object),
        g=np.arange(4, dtype=">i2"),
        h=np.arange(4, dtype="uint8"),
    )
    values = as_array(table, "x")
    assert values.dtype == "float32" and values.flags.c_contiguous
    assert values[1].tolist() == [1, 0, 2, 0, 6, 2.5, 1, 1]
    assert as_array(table, "x", "float64").dtype == "float64"
    assert as_array(table[["b", "h"]], "y").dtype == "int64"


def test_models_in_float64_get_tables_in_float64() -> None:
    keras.config.set_floatx("float64")
    try:
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    finally:
        keras.config.set_floatx("float32")
    table = pd.DataFrame({"a": X[:, 0] + 1e-12, "b": X[:, 1] > 0})
    exact = np.stack([X[:, 0].astype("float64"), X[:, 1] > 0], axis=1)
    exact[:, 0] = table["a"]
    np.testing.assert_array_equal(model.predict(table, verbose=0), model.predict(exact, verbose=0))


# Sparse matrices

FORMATS = ["bsr", "coo", "csc", "csr", "dia", "dok", "lil"]
SPARSE = np.where(np.abs(X) > 0.5, X, 0)


@pytest.mark.parametrize("kind", ["array", "matrix"])
@pytest.mark.parametrize("form", FORMATS)
def test_sparse_matrices_of_every_format(form: str, kind: str) -> None:
    x = getattr(scipy.sparse, f"{form}_{kind}")(SPARSE.astype("float64"))
    assert_same(trained(regression, x, Y), trained(regression, SPARSE, Y))
    model = regression()
    dense = model.predict(SPARSE, verbose=0)
    np.testing.assert_array_equal(model.predict(x, verbose=0), dense)
    np.testing.assert_array_equal(model.predict(x, batch_size=5, verbose=1), dense)
    np.testing.assert_array_equal(model.predict_on_batch(x), dense)
    assert model.evaluate(x, Y, verbose=0) == model.evaluate(SPARSE, Y, verbose=0)
    assert model.test_on_batch(x, Y) == model.test_on_batch(SPARSE, Y)


def test_sparse_beside_dense_and_in_batches() -> None:
    a, b = keras.Input((2,)), keras.Input((2,))
    joined = keras.layers.Concatenate()([a, b])
    model = keras.Model([a, b], keras.layers.Dense(1)(joined))
    model.compile("sgd", "mse")
    x = scipy.sparse.csr_array(SPARSE)
    model.fit([x, X], Y, verbose=0, validation_split=0.25)
    dense = model.predict([SPARSE, X], verbose=0)
    np.testing.assert_array_equal(model.predict([x, X], verbose=0), dense)
    batches = (((x[:4], X[:4]), Y[:4]) for _ in range(3))
    assert np.isfinite(model.evaluate(batches, steps=2, verbose=0))


def test_a_subclass_is_built_on_a_sparse_matrix() -> None:
    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.out = keras.layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.out(x)

    model = Net()
    model.compile("sgd", "mse")
    model.fit(scipy.sparse.csr_matrix(SPARSE), Y, verbose=0)
    assert model.predict(scipy.sparse.csr_matrix(SPARSE), verbose=0).shape == (12, 1)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: regression().fit(X, x[:, :1], verbose=0), "y.toarray()"),
        (lambda x: regression().fit(X, Y, sample_weight=x[:, :1]), "sample_weight.toarray()"),
        (lambda x: regression().fit(x.astype(complex), Y, verbose=0), "x.toarray()"),
        (lambda x: regression()(x), "x.toarray()"),
        (lambda x: keras.layers.Dense(1)(x), "x.toarray()"),
    ],
    ids=["targets", "weights", "complex", "model", "layer"],
)
def test_where_a_dense_array_is_needed_the_error_says_so(call: Any, text: str) -> None:
    with pytest.raises(ValueError) as error:
        call(scipy.sparse.csr_matrix(SPARSE))
    assert text in str(error.value)


def test_rows_of_a_sparse_matrix() -> None:
    rows = SparseRows(scipy.sparse.coo_matrix(SPARSE), "float32")
    assert len(rows) == 12 and rows.shape == (12, 2)
    np.testing.assert_array_equal(rows[3:7], SPARSE[3:7])
    np.testing.assert_array_equal(rows[np.array([4, 4, 0])], SPARSE[[4, 4, 0]])
    assert rows[:].flags.c_contiguous


# Layouts


@pytest.mark.parametrize("is_input", [True, False])
def test_a_copy_is_never_larger_than_need_be(is_input: bool) -> None:
    def bytes_of(dtype: str) -> int:
        column = np.zeros((8, 4), dtype)[:, ::2]
        copy = readable_once(column, "float32", is_input)
        assert copy.shape == column.shape and copy.flags.c_contiguous
        return int(copy.itemsize)

    assert [bytes_of(t) for t in ("?", "u1", ">i2", "f2", ">f4", "i4")] == [1, 1, 2, 2, 4, 4]
    assert [bytes_of(t) for t in ("f8", ">f8", "longdouble")] == [4, 4, 4]
    assert bytes_of("i8") == (4 if is_input else 8)  # labels stay whole
