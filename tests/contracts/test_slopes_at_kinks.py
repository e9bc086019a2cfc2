"""Where a formula has no slope, all engines take the same one: at 0, at bounds, at equal values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import activations, losses, ops, regularizers
from densekit.ops._gradient import value_and_vjp

from . import samples

jax = pytest.importorskip("jax")

POINTS = np.array([0, 1, -1, 0.5, -0.5, 2, -2, 3, -3, 6, -6, 0.25], "float64")


@pytest.fixture(autouse=True)
def wide() -> Iterator[None]:
    keras.config.set_floatx("float64")
    with jax.enable_x64(True):
        yield
    keras.config.set_floatx("float32")


def agree(formulas: list[tuple[str, Callable[[Any], Any]]], x: Any) -> None:
    """Compiled at once, which takes less time."""

    def slopes(x: Any) -> list[Any]:
        return [jax.grad(lambda x, f=f: ops.sum(f(x)))(x) for _, f in formulas]

    for (name, formula), theirs in zip(formulas, jax.jit(slopes)(x), strict=True):
        value, vjp = value_and_vjp(formula, [x])
        (ours,) = vjp(np.ones_like(value))
        np.testing.assert_allclose(theirs, ours, rtol=1e-9, atol=1e-12, err_msg=name)


def test_activations() -> None:
    formulas: list[tuple[str, Callable[[Any], Any]]] = [
        (name, partial(getattr(activations, name), **sample.arguments))
        for name, entries in samples.ACTIVATIONS.items()
        for sample in entries
        if name not in ("softmax", "log_softmax", "sparsemax", "glu")
    ]
    agree(formulas, POINTS)


@pytest.mark.parametrize(
    "formula",
    [
        ops.abs,
        lambda x: ops.power(x, 0.0),
        lambda x: ops.power(x, np.resize([0.0, 1.0, 2.0], x.shape)),
        lambda x: ops.maximum(x, 0.0),
        lambda x: ops.clip(x, -1.0, 1.0),
        lambda x: ops.norm(ops.reshape(x, (3, 4)), ord=1, axis=-1),
        lambda x: ops.max(ops.round(ops.reshape(x, (3, 4)) * 0), axis=-1),
        regularizers.L1(),
        regularizers.L1L2(0.1, 0.2),
    ],
)
def test_ops_and_penalties(formula: Any) -> None:
    agree([("", formula)], POINTS)


def test_losses_of_exact_predictions() -> None:
    y_true = np.array([[0, 1, 0, 1], [1, 0, 0, 0], [1, 1, 1, 0]], "float64")
    formulas: list[tuple[str, Callable[[Any], Any]]] = [
        (name, partial(getattr(losses, name)(**sample.arguments), y_true))
        for name, entries in samples.LOSSES.items()
        for sample in entries
        if sample.targets != "labels"
    ]
    agree(formulas, y_true)
