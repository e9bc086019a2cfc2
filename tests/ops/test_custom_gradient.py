"""Gradients written by users, and derivatives forward."""

from __future__ import annotations

from typing import Any

import jax
import keras as real
import numpy as np
import pytest

import densekit as keras
from densekit import ops
from densekit.ops import value_and_vjp


@ops.custom_gradient
def tripled(x: Any) -> Any:
    """The identity with a slope of 3, which no rule of differentiation gives."""
    return ops.multiply(x, 1.0), lambda upstream: upstream * 3


@ops.custom_gradient
def product(x: Any, y: Any) -> Any:
    def gradient(upstream: Any) -> Any:
        first, second = upstream
        return first * y + second, first * x - second

    return (x * y, x - y), gradient


def test_the_users_gradient_is_taken() -> None:
    x = np.float32([1, 2])
    assert tripled(x).tolist() == [1, 2]
    _, vjp = value_and_vjp(lambda v: tripled(v * 2), [x])
    assert vjp(np.float32([1, 1]))[0].tolist() == [6, 6]
    assert jax.grad(lambda v: tripled(v * 2).sum())(x).tolist() == [6, 6]


def test_several_arguments_and_outputs() -> None:
    x, y = np.float32(3), np.float32(5)
    outputs, vjp = value_and_vjp(product, [x, y])
    assert [float(v) for v in outputs] == [15, -2]
    assert [float(g) for g in vjp((np.float32(1), np.float32(10)))] == [15, -7]
    assert [float(g) for g in vjp((np.float32(1), None))] == [5, 3]


def test_a_tape_takes_it_for_variables_and_again() -> None:
    @ops.custom_gradient
    def cube(x: Any) -> Any:
        return x * x * x, lambda upstream: upstream * 3 * x * x

    x = keras.Variable(2.0)
    with keras.GradientTape() as outer:
        with keras.GradientTape() as inner:
            y = cube(x)
        slope = inner.gradient(y, x)
    assert float(slope) == 12
    assert float(outer.gradient(slope, x)) == 12


def test_a_layer_trains_by_it() -> None:
    class Reversed(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return turned(inputs)

    @ops.custom_gradient
    def turned(x: Any) -> Any:
        return x * 1.0, lambda upstream: -upstream

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1), Reversed()])
    before = np.array(model.layers[0].kernel)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x = np.ones((4, 1), "float32")
    model.train_on_batch(x, model.predict(x, verbose=0) - 1)
    assert model.layers[0].kernel.numpy()[0, 0] > before[0, 0]  # uphill


def test_too_few_gradients_are_refused() -> None:
    wrong = ops.custom_gradient(lambda x, y: (x * y, lambda upstream: upstream))
    _, vjp = value_and_vjp(wrong, [np.float32(1), np.float32(2)])
    with pytest.raises(ValueError, match="2 gradients"):
        vjp(np.float32(1))


def formula(x: Any, w: Any) -> Any:
    return {"y": ops.tanh(ops.matmul(x, w)), "rows": ops.sum(x, axis=1)}


@pytest.mark.parametrize("library", [np, jax.numpy])
def test_a_derivative_along_a_direction_is_that_of_jax(library: Any) -> None:
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(s).astype("float32") for s in ((3, 4), (4, 2)) * 2]
    expect = jax.jvp(formula, tuple(values[:2]), tuple(values[2:]))
    given = [library.asarray(v) for v in values]
    found = ops.jvp(formula, given[:2], given[2:])
    for ours, theirs in zip(found, expect, strict=True):
        for key in theirs:
            np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-5, atol=1e-6)


def test_a_derivative_with_others_and_of_a_constant() -> None:
    x, v = np.float32([1, 2]), np.float32([1, 0])
    y, slope, others = ops.jvp(lambda a: (a * a, a + 1), (x,), (v,), has_aux=True)
    theirs = real.ops.jvp(lambda a: (a * a, a + 1), (x,), (v,), has_aux=True)
    for ours, expect in zip((y, slope, others), theirs, strict=True):
        np.testing.assert_allclose(ours, expect)
    _, flat = ops.jvp(lambda a: np.ones(3, "float32"), (x,), (v,))
    assert flat.tolist() == [0, 0, 0]
