"""Branches, scans and functions of users, on arrays, boxes, symbols and JAX."""

from __future__ import annotations

from typing import Any

import jax
import keras
import numpy as np
import pytest

from densekit import ops
from densekit.ops import value_and_vjp

BRANCHES = [lambda x: x + 1, lambda x: x * 10]


@pytest.mark.parametrize("index", [-3, 0, 1, 7])
def test_a_branch_is_chosen_within_bounds(index: int) -> None:
    x = np.arange(3, dtype="float32")
    expect = keras.ops.switch(index, BRANCHES, x)
    np.testing.assert_array_equal(ops.switch(index, BRANCHES, x), expect)
    traced = jax.jit(lambda i: ops.switch(i, BRANCHES, jax.numpy.asarray(x)))(index)
    np.testing.assert_array_equal(traced, expect)


def test_a_branch_is_recorded() -> None:
    x = ops.KerasTensor((None, 3))
    y = ops.switch(1, BRANCHES, x)
    assert y.shape == (None, 3)
    operation = y._keras_history[0]
    again = operation(1, BRANCHES, np.ones((2, 3), "float32"))
    np.testing.assert_array_equal(again, np.full((2, 3), 10, "float32"))


def test_a_branch_is_differentiated() -> None:
    _, vjp = value_and_vjp(lambda x: ops.switch(1, BRANCHES, x), [np.float32([1, 2])])
    assert vjp(np.float32([1, 1]))[0].tolist() == [10, 10]


def together(a: Any, b: Any) -> Any:
    """Composition of ``x -> m x + c``: associative, and not commutative."""
    return a[0] * b[0], b[0] * a[1] + b[1]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_an_associative_scan_is_that_of_keras(reverse: bool, axis: int, count: int) -> None:
    rng = np.random.default_rng(0)
    shape = (count, 2) if axis == 0 else (2, count)
    elems = tuple(rng.uniform(0.5, 1.5, shape).astype("float32") for _ in range(2))
    ours = ops.associative_scan(together, elems, reverse=reverse, axis=axis)
    theirs = keras.ops.associative_scan(together, elems, reverse=reverse, axis=axis)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=count * 8 * np.finfo("float32").eps)


def test_an_associative_scan_has_gradient_shape_and_result_of_its_own() -> None:
    x = np.float32([1, 2, 3])
    _, vjp = value_and_vjp(lambda v: ops.associative_scan(ops.add, v), [x])
    assert vjp(np.float32([1, 1, 1]))[0].tolist() == [3, 2, 1]
    assert ops.associative_scan(ops.add, ops.KerasTensor((4, 3))).shape == (4, 3)
    one = np.float32([1])
    assert not np.may_share_memory(ops.associative_scan(ops.add, one), one)


def test_a_vectorized_function_broadcasts() -> None:
    def distance(a: Any, b: Any) -> Any:
        return a - b if a > b else b - a

    x = np.float32([[1], [2]])
    y = np.float32([0, 2, 4])
    assert ops.vectorize(distance)(x, y).tolist() == [[1, 1, 3], [2, 0, 2]]


@pytest.mark.parametrize("library", ["numpy", "jax"])
def test_a_vectorized_function_is_that_of_keras(library: str) -> None:
    def both(m: Any, v: Any, scale: float) -> Any:
        return scale * ops.matmul(m, v), ops.sum(v)

    rng = np.random.default_rng(0)
    m, v = rng.standard_normal((4, 1, 2, 3)), rng.standard_normal((5, 3))
    m, v = m.astype("float32"), v.astype("float32")
    options: dict[str, Any] = {"excluded": {2}, "signature": "(m,n),(n)->(m),()"}
    theirs = keras.ops.vectorize(both, **options)(m, v, 2.0)
    if library == "jax":
        m, v = jax.numpy.asarray(m), jax.numpy.asarray(v)
    ours = ops.vectorize(both, **options)(m, v, 2.0)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_vectorized_function_is_differentiated() -> None:
    square = ops.vectorize(lambda a: a * a)
    _, vjp = value_and_vjp(square, [np.float32([1, 2, 3])])
    assert vjp(np.float32([1, 1, 1]))[0].tolist() == [2, 4, 6]


def test_what_cannot_be_called_is_not_vectorized() -> None:
    with pytest.raises(ValueError, match="a function"):
        ops.vectorize(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="2 arguments"):
        ops.vectorize(lambda a, b: a, signature="(n),(n)->(n)")(np.ones(3))


def test_loops_run_under_a_trace_of_jax() -> None:
    def double(x: Any) -> Any:
        return ops.while_loop(lambda v, k: v < 100.0, lambda v, k: (v * 2, k + 1), (x, 0))

    assert [float(v) for v in jax.jit(double)(3.0)] == [float(v) for v in double(3.0)] == [192, 6]

    def limited(x: Any) -> Any:
        return ops.while_loop(lambda v: v < 100.0, lambda v: v * 2, x, maximum_iterations=2)

    assert float(jax.jit(limited)(3.0)) == float(limited(3.0)) == 12

    def powers(x: Any, upper: Any) -> Any:
        return ops.fori_loop(0, upper, lambda i, v: v * x, 1.0)

    assert float(jax.jit(powers)(3.0, 4)) == float(powers(3.0, 4)) == 81
