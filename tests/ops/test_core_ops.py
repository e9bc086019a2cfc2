"""Values in and out, and control flow, eager and under JAX."""

from __future__ import annotations

from typing import Any

import jax
import keras
import numpy as np
import pytest

from densekit import ops
from densekit._core.variable import Variable


def test_is_tensor() -> None:
    for value in (np.ones(2), np.float32(1), jax.numpy.ones(2), ops.KerasTensor((2,))):
        assert ops.is_tensor(value)
    for value in ([1.0], 1.0, Variable([1.0]), None, "x"):
        assert not ops.is_tensor(value)


def test_convert_to_numpy() -> None:
    for value in ([1.0, 2.0], Variable([1.0, 2.0]), jax.numpy.array([1.0, 2.0])):
        found = ops.convert_to_numpy(value)
        assert type(found) is np.ndarray
        assert found.dtype == "float32"
        assert found.tolist() == [1, 2]


def test_shape_and_dtype() -> None:
    assert ops.shape([[1, 2]]) == (1, 2)
    assert ops.shape(ops.KerasTensor((None, 2))) == (None, 2)
    assert ops.dtype(ops.KerasTensor((2,), "int32")) == "int32"
    assert ops.dtype(1.0) == "float32"
    assert ops.dtype(jax.numpy.ones(2, "int8")) == "int8"


@pytest.mark.parametrize("library", [ops, keras.ops], ids=["densekit", "keras"])
def test_control_flow(library: object) -> None:
    """One program, two libraries, the same results."""
    k = library
    assert int(k.cond(k.greater(2, 1), lambda: 1, lambda: 2)) == 1
    i, total = k.while_loop(lambda i, _: i < 5, lambda i, t: (i + 1, t + i), (0, 0))
    assert (int(i), int(total)) == (5, 10)
    assert (
        int(k.while_loop(lambda i: i < 100, lambda i: (i + 1,), (0,), maximum_iterations=7)[0]) == 7
    )
    assert float(k.fori_loop(0, 4, lambda i, v: v + i, 0.0)) == 6
    xs = np.arange(4, dtype="float32")
    for reverse, expected in ((False, [0, 1, 3, 6]), (True, [6, 6, 5, 3])):
        carry, sums = k.scan(lambda c, x: (c + x, c + x), np.float32(0), xs, reverse=reverse)
        assert float(carry) == 6
        np.testing.assert_array_equal(sums, expected)
    np.testing.assert_array_equal(k.map(lambda x: x * 2, xs), xs * 2)
    np.testing.assert_array_equal(k.vectorized_map(lambda x: x[0] + x[1], (xs, xs)), xs * 2)


def test_cond_under_jit() -> None:
    function = jax.jit(lambda x: ops.cond(x > 0, lambda: x, lambda: -x))
    assert float(function(-2.0)) == 2


@pytest.mark.parametrize(
    "call",
    [
        lambda: ops.cast(None, "float32"),
        lambda: ops.convert_to_tensor(None),
        lambda: ops.cast([1.0, None], "float32"),
        lambda: ops.full_like(np.ones(2), None),
        lambda: ops.arange(None),
        lambda: ops.sqrt(None),
    ],
    ids=["cast", "convert", "list", "full_like", "arange", "sqrt"],
)
def test_none_is_no_number(call: Any) -> None:
    with pytest.raises(ValueError, match="expected a tensor or a number, got None"):
        call()


def test_empty() -> None:
    assert ops.empty((2, 3), "int32").dtype == "int32"
    assert ops.empty_like(np.ones((2, 3), "float32")).shape == (2, 3)
