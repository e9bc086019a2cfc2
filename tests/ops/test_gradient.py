"""`value_and_vjp` against finite differences and known gradients."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
import pytest

from densekit import ops
from densekit._core.scope import StatelessScope
from densekit._core.variable import Variable
from densekit.ops._gradient import value_and_vjp


def test_random_direction(rng: np.random.Generator) -> None:
    """<cotangent, J direction> by the product and by a central difference."""

    def function(x: Any, w: Any) -> Any:
        hidden = ops.gelu(ops.matmul(x, w), approximate=False)
        return {
            "a": ops.softmax(hidden),
            "b": [ops.logsumexp(hidden, axis=0), ops.erfinv(ops.tanh(x))],
        }

    x, w = rng.standard_normal((5, 3)), rng.standard_normal((3, 4))
    outputs, vjp = value_and_vjp(function, [x, w])
    cotangents = {
        "a": rng.standard_normal((5, 4)),
        "b": [rng.standard_normal(4), rng.standard_normal((5, 3))],
    }
    dx, dw = rng.standard_normal(x.shape), rng.standard_normal(w.shape)

    def inner(values: Any) -> float:
        pairs = [(values["a"], cotangents["a"]), *zip(values["b"], cotangents["b"], strict=True)]
        return float(sum(np.sum(v * c) for v, c in pairs))

    step = 1e-5
    plus, minus = function(x + step * dx, w + step * dw), function(x - step * dx, w - step * dw)
    gx, gw = vjp(cotangents)
    analytic = np.sum(gx * dx) + np.sum(gw * dw)
    numeric = (inner(plus) - inner(minus)) / (2 * step)
    assert analytic == pytest.approx(numeric, rel=1e-6)
    assert abs(analytic) > 1e-3
    np.testing.assert_array_equal(outputs["a"], function(x, w)["a"])
    again = vjp(cotangents)
    np.testing.assert_array_equal(again[0], gx)


def test_structure_and_types() -> None:
    x, n = np.ones((2, 3), "float32"), np.arange(3)
    outputs, vjp = value_and_vjp(lambda x, n, u: (x * 2, n + 1, np.float32(3)), [x, n, np.ones(2)])
    assert [o.dtype for o in outputs] == ["float32", "int64", "float32"]
    gradients = vjp([np.full((2, 3), 5.0), None, None])
    assert [g.dtype for g in gradients] == ["float32", "int64", "float64"]
    assert gradients[0].tolist() == [[10.0] * 3] * 2
    assert not gradients[1].any()
    assert gradients[2].shape == (2,)


def test_same_value_used_twice_and_returned_as_it_is() -> None:
    _, vjp = value_and_vjp(lambda x: (x, x * x), [np.array([3.0])])
    assert vjp([np.array([1.0]), np.array([1.0])])[0].tolist() == [7.0]
    assert vjp([np.array([1.0]), None])[0].tolist() == [1.0]
    assert vjp([None, None])[0].tolist() == [0.0]


def test_variables_through_a_stateless_scope() -> None:
    weight = Variable([[1.0, 2.0]])

    def function(value: Any, x: Any) -> Any:
        with StatelessScope([(weight, value)]):
            return (
                ops.sum(ops.square(x * weight))
                + ops.sum(weight * x)
                + ops.sum(ops.multiply(weight, x))
            )

    x = np.array([[3.0, 4.0]], "float32")
    _, vjp = value_and_vjp(function, [weight.array, x])
    gradient, _ = vjp(np.float32(1))
    assert gradient.tolist() == [[2 * 9 * 1 + 6.0, 2 * 16 * 2 + 8.0]]


def test_stop_gradient() -> None:
    _, vjp = value_and_vjp(lambda x: ops.stop_gradient(x) * x, [np.array([3.0])])
    assert vjp(np.ones(1))[0].tolist() == [3.0]


def test_where_broadcasts() -> None:
    mask = np.array([[True, False], [True, True]])
    _, vjp = value_and_vjp(lambda x: ops.where(mask, x, 0.0), [np.ones(2, "float32")])
    assert vjp(np.ones((2, 2), "float32"))[0].tolist() == [2.0, 1.0]


@pytest.mark.parametrize("name", ["relu", "abs", "absolute"])
def test_kinks_have_slope_zero(name: str) -> None:
    _, vjp = value_and_vjp(getattr(ops, name), [np.zeros(2)])
    assert vjp(np.ones(2))[0].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "log_sigmoid", "silu", "mish", "gelu"])
def test_smooth_at_zero(name: str) -> None:
    function = getattr(ops, name)
    step = 1e-5
    numeric = (function(np.array([step])) - function(np.array([-step]))) / (2 * step)
    _, vjp = value_and_vjp(function, [np.zeros(1)])
    np.testing.assert_allclose(vjp(np.ones(1))[0], numeric, rtol=1e-8)


@pytest.mark.parametrize("name", ["digitize", "isin", "signbit", "searchsorted", "bincount"])
def test_counts_and_places_are_constants(name: str) -> None:
    others = {"digitize": [np.array([0.0, 1.0])], "isin": [np.array([1.0])]}

    def function(x: Any) -> Any:
        if name == "searchsorted":
            found = ops.searchsorted(np.array([0.0, 1.0]), x)
        elif name == "bincount":
            found = ops.bincount(ops.cast(x, "int32"))
        else:
            found = getattr(ops, name)(x, *others.get(name, []))
        return ops.sum(ops.cast(found, "float64")) * ops.sum(x)

    x = np.array([0.5, 1.0])
    result, vjp = value_and_vjp(function, [x])
    assert vjp(np.ones(()))[0] == pytest.approx([result / 1.5] * 2)


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1), (-1,)], ids=str)
@pytest.mark.parametrize("name", ["prod", "nanprod"])
def test_products_of_zeros_have_slopes(axis: Any, name: str) -> None:
    x = np.array([[0.0, 2.0, 3.0], [0.5, 0.0, 0.0]])
    for keepdims in (False, True):
        product = partial(getattr(ops, name), axis=axis, keepdims=keepdims)
        y, vjp = value_and_vjp(product, [x])
        assert np.array_equal(y, np.prod(x, axis=axis, keepdims=keepdims))
        expected = jax.grad(lambda a: jax.numpy.prod(a, axis=axis).sum())(x)
        np.testing.assert_allclose(vjp(np.ones_like(y))[0], expected)


@pytest.mark.parametrize("dtype", ["int32", "bool", "uint8"])
def test_whole_numbers_have_no_slope(dtype: str) -> None:
    x = np.array([1.7, 2.3])
    for call in (lambda a: ops.cast(a * 4, dtype), lambda a: (a * 4).astype(dtype)):
        y, vjp = value_and_vjp(lambda a, call=call: a * ops.cast(call(a), "float64"), [x])
        np.testing.assert_allclose(vjp(np.ones(2))[0], y / x)


def test_sums_of_whole_arrays_in_bfloat16_have_slopes() -> None:
    def function(x: Any) -> Any:
        return ops.multiply(ops.cast(x, "bfloat16"), ops.sum(ops.cast(x, "bfloat16")))

    outputs, vjp = value_and_vjp(function, [np.float32([1.0, 2.0])])
    assert outputs.dtype.name == "bfloat16"
    (slope,) = vjp(np.ones(2, outputs.dtype))
    np.testing.assert_array_equal(slope, np.float32([6.0, 6.0]))
