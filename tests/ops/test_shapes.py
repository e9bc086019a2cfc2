"""Shapes of symbolic results, and arguments that do not fit the shape of an array."""

from __future__ import annotations

import numpy as np
import pytest

from densekit import KerasTensor, ops


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        ((None, 3), (2, None), (2, 3)),
        ((None, None), (2, None), (2, None)),
        ((None, 3), (None, 3), (None, 3)),
        ((4, 1), (None, 3), (4, 3)),
    ],
)
def test_unknown_sizes_fit_those_that_are_known(first, second, result) -> None:
    assert ops.add(KerasTensor(first), KerasTensor(second)).shape == result


def test_shapes_that_never_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        ops.add(KerasTensor((None, 3)), KerasTensor((2, 4)))
    with pytest.raises(ValueError, match="out of bounds"):
        ops.get_item(KerasTensor((None, 5)), np.s_[:, 17])
    assert ops.get_item(KerasTensor((None, 5)), 100).shape == (5,)


def test_arguments_out_of_range() -> None:
    x = np.ones((2, 3))
    with pytest.raises(ValueError, match="axis 2"):
        ops.flip(x, axis=2)
    with pytest.raises(ValueError, match=r"ops\.diag.*vector or matrix"):
        ops.diag(np.ones((2, 3, 4)))
    with pytest.raises(ValueError, match=r"ops\.meshgrid.*'xy' or 'ij'"):
        ops.meshgrid(x, indexing="kk")
    with pytest.raises(ValueError, match=r"ops\.argpartition.*one integer"):
        ops.argpartition(x, (1, 2))
    with pytest.raises(ValueError, match=r"ops\.cumsum.*one `axis`"):
        ops.nancumsum(x, axis=(0, 1))
    assert ops.nancumsum(x, axis=(1,)).tolist() == [[1, 2, 3], [1, 2, 3]]
