"""Decompositions whose factors are not unique, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from densekit import ops


def test_eigenvalues_and_vectors_of_any_square_matrix() -> None:
    x = np.array([[[0, 1], [-1, 0]], [[2, 1], [0, 3]]], "float32")
    values, vectors = ops.eig(x)
    assert values.dtype == vectors.dtype == "complex64"
    np.testing.assert_allclose(x @ vectors, vectors * values[:, None, :], atol=1e-6)
    np.testing.assert_allclose(np.sort_complex(values[0]), [-1j, 1j], atol=1e-6)


def test_eigenvectors_of_equal_eigenvalues_are_orthonormal() -> None:
    x = np.eye(3, dtype="float32") * 2
    values, vectors = ops.eigh(x)
    np.testing.assert_allclose(values, [2, 2, 2], rtol=1e-6)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-6)


def test_factors_with_rows_exchanged_make_the_matrix() -> None:
    rng = np.random.default_rng(0)
    for shape in ((4, 4), (5, 3), (3, 5)):
        x = rng.standard_normal(shape)
        lu, pivots = ops.lu_factor(x)
        short = min(shape)
        lower = np.tril(lu, -1)[:, :short] + np.eye(shape[0], short)
        assert np.abs(lower).max() == 1
        exchanged = x.copy()
        for row, pivot in enumerate(pivots):
            exchanged[[row, pivot]] = exchanged[[pivot, row]]
        np.testing.assert_allclose(lower @ np.triu(lu)[:short], exchanged, rtol=1e-12, atol=1e-12)


def test_a_singular_matrix_has_factors_too() -> None:
    lu, pivots = ops.lu_factor(np.zeros((2, 2), "float32"))
    assert lu.tolist() == [[0, 0], [0, 0]]
    assert pivots.tolist() == [0, 1]


@pytest.mark.parametrize("name", ["slogdet", "logdet", "eigh", "eig", "pinv", "lu_factor"])
def test_a_vector_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"ops.{name}.*matrix"):
        getattr(ops, name)(np.ones(3, "float32"))
