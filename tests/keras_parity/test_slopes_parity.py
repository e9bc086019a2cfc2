"""Slopes where formulas bend, jump or end, against Keras: by definition, natively, by JAX."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import keras
import numpy as np
import pytest

import densekit
from densekit import ops
from densekit.ops._gradient import value_and_vjp

Array = np.ndarray[Any, Any]
Formula = Callable[..., Any]
POINTS = [0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 6.0, -6.0, 0.25, 20.0, -20.0]
X = np.array([POINTS], "float32")
A, B = (
    grid.reshape(1, -1).astype("float32")
    for grid in np.meshgrid(POINTS[:8], POINTS[:8], indexing="ij")
)
ROWS = {"zeros": [0, 0, 0, 0], "ties": [2, 1, 2, 1], "one 0": [1, 0, 2, 3], "same": [1, 1, 1, 1]}
GAPS = {"a NaN": [1, np.nan, 2, 3]}
ENDS = np.array([[np.inf, -np.inf, 1.0]], "float32")

ELEMENTS = [
    *("abs", "arcsinh", "arctan", "cbrt", "ceil", "celu", "cos", "cosh", "elu", "erf", "exp"),
    *("expm1", "fabs", "floor", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh"),
    *("leaky_relu", "log1p", "log_sigmoid", "reciprocal", "relu", "relu6", "rsqrt", "selu"),
    *("sigmoid", "sign", "silu", "sinc", "soft_shrink", "softplus", "softsign", "sparse_plus"),
    *("sparse_sigmoid", "sqrt", "square", "squareplus", "tanh", "tanh_shrink", "log", "tan"),
]
PAIRS = [
    *("add", "subtract", "multiply", "divide_no_nan", "maximum", "minimum", "mod", "logaddexp"),
    *("logaddexp2", "fmax", "fmin", "hypot", "heaviside"),
]
ALONG = [
    *("max", "min", "prod", "cumprod", "sum", "var", "logsumexp", "softmax", "log_softmax"),
    *("sort", "median", "nanmax", "nansum", "nanmean", "nanvar", "nanprod", "ptp"),
]


def formulas() -> dict[str, tuple[Callable[[Any], Formula], list[Array]]]:
    """By name: the formula for a module, and where its slopes are compared."""
    found: dict[str, tuple[Callable[[Any], Formula], list[Array]]] = {}
    for name in ELEMENTS:
        found[name] = (lambda m, n=name: getattr(m, n)), [X]
    for name in PAIRS:
        found[name] = (lambda m, n=name: getattr(m, n)), [A, B]
    for name in ALONG:
        for label, row in {**ROWS, **(GAPS if "nan" in name else {})}.items():
            along = lambda m, n=name: lambda x: getattr(m, n)(x, axis=-1)  # noqa: E731
            found[f"{name} of {label}"] = along, [np.array([row], "float32")]
    for name in ("abs", "cbrt", "relu", "tanh", "sigmoid"):
        found[f"{name} at the ends"] = (lambda m, n=name: getattr(m, n)), [ENDS]
    found["clip"] = (lambda m: lambda x: m.clip(x, -1.0, 1.0)), [X]
    found["clip below"] = (lambda m: lambda x: m.clip(x, None, 1.0)), [X]
    found["where"] = (lambda m: lambda x: m.where(x > 0, m.sqrt(x), 0.0 * x)), [X + 0.5]
    found["top_k"] = (lambda m: lambda x: m.top_k(x, 2)[0]), [np.array([[1, np.nan, 2, 3]], "f")]
    return found


FORMULAS = formulas()
# The slope of the absolute value at 0 is 0 here, also in what is made of it.
ZERO_AT_0 = {"abs", "fabs", "hypot"}


def seeds(shape: tuple[int, ...]) -> Array:
    return np.linspace(1, 2, int(np.prod(shape))).reshape(shape).astype("float32")


def traced(module: Any) -> dict[str, list[Array]]:
    """All slopes, compiled at once."""

    def slopes(make: Callable[[Any], Formula], xs: list[Array]) -> Any:
        def total(*given: Any) -> Any:
            y = make(module)(*given)
            return (y * seeds(y.shape)).sum()

        return jax.grad(total, argnums=tuple(range(len(xs))))(*xs)

    given = {name: xs for name, (_, xs) in FORMULAS.items()}
    made = jax.jit(lambda all_of: {n: slopes(FORMULAS[n][0], xs) for n, xs in all_of.items()})
    return {name: [np.asarray(g) for g in found] for name, found in made(given).items()}


@cache
def wanted() -> dict[str, list[Array]]:
    return traced(keras.ops)


@cache
def by_jax() -> dict[str, list[Array]]:
    return traced(ops)


def by_definition(name: str) -> list[Array]:
    make, xs = FORMULAS[name]
    value, vjp = value_and_vjp(make(ops), xs)
    return vjp(seeds(value.shape))


def natively(name: str) -> list[Array]:
    make, xs = FORMULAS[name]
    inputs = [densekit.Input(x.shape[1:]) for x in xs]
    outputs = make(ops)(*inputs)
    model = densekit.Model(inputs, outputs)
    given = [ops.convert_to_tensor(x) for x in xs]
    with densekit.GradientTape() as tape:
        for x in given:
            tape.watch(x)
        y = model(given)
        total = ops.sum(y * seeds(y.shape))
    return [np.asarray(gradient) for gradient in tape.gradient(total, given)]


WAYS = {"definition": by_definition, "native": natively, "jax": lambda name: by_jax()[name]}


@pytest.mark.parametrize(
    ("name", "way"),
    # The native backward multiplies by slopes of 0: infinite ones become NaN.
    [(n, way) for n in FORMULAS for way in WAYS if way != "native" or "cbrt" not in n],
)
def test_slopes_are_those_of_keras(name: str, way: str) -> None:
    xs = FORMULAS[name][1]
    found, expected = WAYS[way](name), wanted()[name]
    zero = np.all([x == 0 for x in xs], axis=0)
    for ours, theirs in zip(found, expected, strict=True):
        if name in ZERO_AT_0:
            assert not ours[zero].any()
            ours, theirs = ours[~zero], theirs[~zero]
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-5)
