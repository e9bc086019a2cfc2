"""The orthogonal regularizer."""

from __future__ import annotations

import math

import numpy as np
import pytest

from densekit.regularizers import OrthogonalRegularizer


def test_by_hand() -> None:
    """Rows (1, 0), (3, 3), (0, 2): cosines sqrt(1/2), 0 and sqrt(1/2) over three pairs."""
    w = np.array([[1.0, 0.0], [3.0, 3.0], [0.0, 2.0]])
    expected = 0.5 * 2 * math.sqrt(0.5) / 3
    assert float(OrthogonalRegularizer(0.5)(w)) == pytest.approx(expected, rel=1e-14)
    assert float(OrthogonalRegularizer(0.5, mode="columns")(w.T)) == pytest.approx(
        expected, rel=1e-14
    )


def test_orthogonal_rows_cost_nothing() -> None:
    assert float(OrthogonalRegularizer()(np.diag([1.0, 2.0, 3.0]))) == 0.0


def test_a_single_vector_has_no_pairs() -> None:
    assert float(OrthogonalRegularizer()(np.ones((1, 4)))) == 0.0
    assert float(OrthogonalRegularizer(mode="columns")(np.ones((4, 1)))) == 0.0


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2)])
def test_rank(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected a weight of rank 2, got shape"):
        OrthogonalRegularizer()(np.ones(shape))


def test_illegal_arguments() -> None:
    with pytest.raises(ValueError, match="`mode` to be one of"):
        OrthogonalRegularizer(mode="diagonal")
    with pytest.raises(ValueError, match="`factor` to be a non-negative float"):
        OrthogonalRegularizer(factor=-1.0)
