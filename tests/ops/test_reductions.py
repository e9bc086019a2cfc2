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
    with pytest.raises(ValueError, match=r"ops\.average.*`axis`"):
        ops.average([[1.0, 3.0]], weights=[1.0, 3.0])


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32", "uint8", "bool"])
@pytest.mark.parametrize("columns", [2, 3, 4, 5])
def test_extremes_of_few_columns_are_those_of_numpy(dtype: str, columns: int) -> None:
    for shape in ((64, columns), (3, 20, columns), (1, columns)):
        x = (np.random.default_rng(0).normal(size=shape) * 3).astype(dtype)
        if x.dtype.kind == "f" and x.shape[0] > 1:
            x.flat[::7] = np.nan
        for axis in (-1, x.ndim - 1, 0, None):
            for found, expected in ((ops.max, np.max), (ops.min, np.min), (ops.amax, np.max)):
                got, own = found(x, axis=axis), expected(x, axis=axis)
                assert got.dtype == own.dtype
                np.testing.assert_array_equal(got, own, strict=True)
            assert ops.max(x, axis=-1, keepdims=True).shape == (*shape[:-1], 1)
