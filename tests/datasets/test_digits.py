"""The digits that come with the package are those of the source, and the split is fair."""

from __future__ import annotations

import subprocess
import sys
from importlib import resources

import numpy as np
from sklearn.datasets import load_digits

import densekit as keras
from densekit.datasets import digits


def rows(images, labels):
    """Images with their labels as a sorted table, to compare without regard to order."""
    table = np.column_stack([images.reshape(len(images), -1), labels]).astype(int)
    return table[np.lexsort(table.T)]


def test_the_values_are_those_of_the_source() -> None:
    source = load_digits()
    with np.load(resources.files("densekit.datasets").joinpath("digits.npz")) as file:
        np.testing.assert_array_equal(file["images"], source.images)
        np.testing.assert_array_equal(file["labels"], source.target)


def test_the_split_keeps_every_image_once() -> None:
    source = load_digits()
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    both = rows(np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test]))
    np.testing.assert_array_equal(both, rows(source.images, source.target))


def test_shapes_types_and_range() -> None:
    (x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
    assert (x_train.shape, y_train.shape) == ((1437, 8, 8), (1437,))
    assert (x_test.shape, y_test.shape) == ((360, 8, 8), (360,))
    assert {a.dtype for a in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    assert (x_train.min(), x_train.max()) == (0, 16)
    assert (x_test.min(), x_test.max()) == (0, 16)


def test_each_digit_has_its_share_of_the_test_set() -> None:
    (_, y_train), (_, y_test) = digits.load_data()
    tested, seen = np.bincount(y_test, minlength=10), np.bincount(y_train, minlength=10)
    np.testing.assert_allclose(tested / (tested + seen), 0.2, atol=1 / (tested + seen).min())


def test_each_call_gives_arrays_of_its_own() -> None:
    (first, _), _ = digits.load_data()
    expected = first.copy()
    first[:] = 99
    (second, _), _ = digits.load_data()
    np.testing.assert_array_equal(second, expected)


def test_loading_needs_no_other_library() -> None:
    code = (
        "import sys; from densekit.datasets import digits; digits.load_data();"
        "print(sorted({'sklearn', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_attribution_comes_along() -> None:
    text = resources.files("densekit.datasets").joinpath("digits.attribution.md").read_text("utf-8")
    assert "Alpaydin" in text and "CC BY 4.0" in text and "Changes" in text
