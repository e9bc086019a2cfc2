"""Every definition's gradient, in float64: autograd, JAX and central differences agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from densekit import activations, losses, regularizers
from densekit.ops._gradient import value_and_vjp

from . import samples
from .compare import assert_close, assert_slope

STEP = 1e-5

ACTIVATIONS = [(n, s) for n, entries in samples.ACTIVATIONS.items() for s in entries]
LOSSES = [(n, s) for n, entries in samples.LOSSES.items() for s in entries]
REGULARIZERS = [(n, a) for n, entries in samples.REGULARIZERS.items() for a in entries]


def by_autograd(function: Callable[[Any], Any], x: Any, seed: int = 11) -> tuple[Any, Any, Any]:
    """``(value, cotangent, gradient)`` with a random cotangent."""
    value, vjp = value_and_vjp(function, [x])
    cotangent = np.random.default_rng(seed).standard_normal(np.shape(value))
    return value, cotangent, vjp(cotangent)[0]


def by_jax(function: Callable[[Any], Any], x: Any, cotangent: Any) -> Any:
    """The gradient by JAX in float64."""
    with jax.enable_x64(True):

        @jax.jit
        def vjp(x: Any, c: Any) -> Any:
            return jax.vjp(function, x)[1](c)[0]

        return np.asarray(vjp(x, cotangent))


def check_difference(function: Callable[[Any], Any], x: Any, third: float) -> None:
    """The gradient in one random direction against a central difference.

    `third` bounds the third derivative of each value.
    """
    value, cotangent, gradient = by_autograd(function, x)
    direction = np.random.default_rng(12).standard_normal(x.shape)
    ends = [np.sum(cotangent * function(x + sign * STEP * direction)) for sign in (-1, 1)]
    size = np.sum(np.abs(cotangent) * (1 + np.abs(value))) * (1 + float(np.max(np.abs(x))))
    curvature = third / 6 * np.max(np.abs(cotangent)) * np.sum(np.abs(direction) ** 3)
    assert_slope(
        np.sum(gradient * direction), *map(float, ends), STEP, size=size, curvature=curvature
    )


def apply(name: str, sample: samples.ActivationSample) -> Callable[[Any], Any]:
    return lambda x: getattr(activations, name)(x, **sample.arguments)


@pytest.mark.parametrize(("name", "sample"), ACTIVATIONS)
def test_activation_autograd_against_jax(name: str, sample: samples.ActivationSample) -> None:
    """At random points, at every branch point and far out: ties are resolved alike, too."""
    function = apply(name, sample)
    for x in samples.activation_inputs():
        x = np.clip(x, -400, 400) if name == "exponential" else x  # within the range of float64
        _value, cotangent, gradient = by_autograd(function, x)
        expected = by_jax(function, x, cotangent)
        # Slopes are made of terms no larger than 1 + |x| times the cotangents and values around.
        scale = (1 + np.abs(x)) * (1 + np.abs(expected)) * np.max(np.abs(cotangent))
        assert np.isfinite(gradient).all()
        assert_close(gradient, expected, ulps=16, scale=scale, what=name)


@pytest.mark.parametrize(("name", "sample"), ACTIVATIONS)
def test_activation_difference(name: str, sample: samples.ActivationSample) -> None:
    x = samples.smooth_activation_inputs()
    # exp(7.2) < 1400 for the exponential; the others bend less than cubic parabolas.
    check_difference(apply(name, sample), x, third=1400.0 if name == "exponential" else 10.0)


def per_sample(name: str, sample: samples.LossSample, y_true: Any) -> Callable[[Any], Any]:
    loss = getattr(losses, name)(reduction=None, dtype="float64", **sample.arguments)
    return lambda y_pred: loss(y_true, y_pred)


@pytest.mark.parametrize(("name", "sample"), LOSSES)
def test_loss_autograd_against_jax(name: str, sample: samples.LossSample) -> None:
    inputs = [samples.loss_inputs(sample), samples.edge_predictions(sample)]
    if name == "CategoricalGeneralizedCrossEntropy":
        inputs.pop()  # its slope is infinite where the right class has probability 0
    for y_true, y_pred in inputs:
        function = per_sample(name, sample, y_true)
        _, cotangent, gradient = by_autograd(function, y_pred)
        expected = by_jax(function, y_pred, cotangent)
        assert np.isfinite(gradient).all()
        scale = np.max(np.abs(expected), axis=-1, keepdims=True) + 1  # rows are normalised together
        assert_close(gradient, expected, ulps=64, scale=scale, what=name)


@pytest.mark.parametrize(("name", "sample"), LOSSES)
def test_loss_difference(name: str, sample: samples.LossSample) -> None:
    y_true, y_pred = samples.loss_inputs(sample)
    # A logarithm at 0.05 has the third derivative 2 / 0.05**3 = 16000. A distance d counts with
    # gamma * d**2 in an exponent, d < 2.
    third = (4.0 * sample.arguments.get("gamma", 80.0)) ** 3 if name == "Circle" else 16000.0
    check_difference(per_sample(name, sample, y_true), y_pred, third=third)


@pytest.mark.parametrize(("name", "arguments"), REGULARIZERS)
def test_regularizer_autograd_against_jax(name: str, arguments: dict[str, Any]) -> None:
    function = getattr(regularizers, name)(**arguments)
    for w in samples.weights():
        _, cotangent, gradient = by_autograd(function, w)
        expected = by_jax(function, w, cotangent)
        # At 0 JAX takes 1 for the slope of abs; ours, like the native core, takes 0.
        zero = w == 0
        assert not gradient[zero].any()
        expected = np.where(zero, 0, expected)
        scale = np.abs(expected) + np.max(np.abs(expected))  # sums over rows cancel
        assert_close(gradient, expected, ulps=4 * w.size, scale=scale, what=name)


@pytest.mark.parametrize(("name", "arguments"), REGULARIZERS)
def test_regularizer_difference(name: str, arguments: dict[str, Any]) -> None:
    w = samples.weights()[0]  # no element near zero
    assert np.abs(w).min() > 3.5 * STEP
    check_difference(getattr(regularizers, name)(**arguments), w, third=1e3)


def test_a_wrong_gradient_is_refused() -> None:
    """The machinery above notices a definition whose gradient is off by 1e-6."""
    x = samples.smooth_activation_inputs()

    def wrong(value: Any) -> Any:
        constant = getattr(value, "_value", value)  # without its box: no gradient
        return activations.tanh(value) + 1e-6 * constant

    with pytest.raises(AssertionError, match="central difference"):
        check_difference(wrong, x, third=10.0)
