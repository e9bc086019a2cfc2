"""Softmax and its kin."""

from __future__ import annotations

import numpy as np
import pytest

from densekit import activations


@pytest.mark.parametrize("name", ["softmax", "sparsemax"])
def test_rows_are_distributions(name: str, rng: np.random.Generator) -> None:
    y = getattr(activations, name)(5 * rng.standard_normal((20, 7)))
    assert (y >= 0).all()
    assert np.abs(y.sum(axis=-1) - 1).max() <= 8 * np.finfo("float64").eps


def test_sparsemax_by_hand() -> None:
    x = np.array([[2.0, 1.5, -1.0], [3.0, 1.0, 2.5], [0.0, 0.0, 0.0]])
    expected = np.array([[0.75, 0.25, 0.0], [0.75, 0.0, 0.25], [1 / 3, 1 / 3, 1 / 3]])
    assert np.abs(activations.sparsemax(x) - expected).max() <= 1e-15


def test_softmax_does_not_overflow() -> None:
    assert activations.softmax(np.array([[1e4, 0.0]], "float32")).tolist() == [[1.0, 0.0]]
    assert activations.log_softmax(np.array([[1e4, 0.0]], "float32")).tolist() == [[0.0, -1e4]]


def test_softmax_over_one_class_warns() -> None:
    with pytest.warns(UserWarning, match="softmax"):
        activations.softmax(np.ones((3, 1)))


def test_softmax_over_two_axes(rng: np.random.Generator) -> None:
    y = activations.softmax(rng.standard_normal((2, 3, 4)), axis=(1, 2))
    assert np.abs(y.sum(axis=(1, 2)) - 1).max() <= 1e-15


def test_glu_halves(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 6))
    assert activations.glu(x).shape == (3, 3)
    with pytest.raises((ValueError, AssertionError)):
        activations.glu(x[:, :5])
