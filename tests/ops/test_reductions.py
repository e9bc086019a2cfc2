"""Reductions on plain arrays."""

from __future__ import annotations

import numpy as np
import pytest

from densekit import ops


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_mean_along_an_axis_has_the_bits_of_numpy(dtype: str, axis: int, keepdims: bool) -> None:
    for shape in ((7, 3), (64, 2), (3, 129, 5)):
        x = np.random.default_rng(0).normal(size=shape).astype(dtype)
        expected = np.mean(x, axis=axis, keepdims=keepdims)
        found = ops.mean(x, axis=axis, keepdims=keepdims)
        assert found.dtype == expected.dtype and np.array_equal(found, expected)


def test_average_with_weights_of_another_shape_asks_for_the_axis() -> None:
    assert float(ops.average([[1.0, 3.0]], axis=1, weights=[1.0, 3.0])[0]) == 2.5
    with pytest.raises(TypeError, match=r"ops\.average.*`axis`"):
        ops.average([[1.0, 3.0]], weights=[1.0, 3.0])
