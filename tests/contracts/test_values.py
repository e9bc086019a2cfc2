"""Every definition gives Keras' values, on random and on edge inputs."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import pytest

from densekit import activations, constraints, losses, regularizers
from densekit._core.variable import Variable

from . import samples
from .compare import assert_close

F32 = "float32"


def of_keras(room: str, table: dict[str, Any]) -> list[tuple[str, Any]]:
    """Entries of a table by name; what Keras has not, as `Clip`, has tests of its own values."""
    theirs = getattr(keras, room)
    return [(n, one) for n, entries in table.items() for one in entries if hasattr(theirs, n)]


ACTIVATIONS = of_keras("activations", samples.ACTIVATIONS)
LOSSES = of_keras("losses", samples.LOSSES)
LOSS_FUNCTIONS = [(f, n) for f, n in samples.LOSS_FUNCTIONS.items() if hasattr(keras.losses, f)]


def value_scale(name: str, x: Any, y: Any, axis: Any = -1) -> Any:
    """The size of what was rounded: the result, an exponent, a cancelled term."""
    size = np.nan_to_num(np.abs(np.asarray(x, "float64")), posinf=0.0)
    if name in ("softmax", "log_softmax", "sparsemax"):
        size = np.broadcast_to(size.max(axis=axis, keepdims=True), size.shape)
    if name == "glu":
        size = size.max()
    return np.abs(y) * (1 + size) + (size + 1 if name in samples.CANCELLING else 0)


def projected_on_simplex(x: Any, axis: int) -> Any:
    """Sparsemax by bisection on its threshold: what Keras computes does not even sum to 1."""
    x = x.astype("float64")
    low, high = x.max(axis=axis, keepdims=True) - 1, x.max(axis=axis, keepdims=True)
    for _ in range(80):
        middle = (low + high) / 2
        above = np.maximum(x - middle, 0).sum(axis=axis, keepdims=True) > 1
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.maximum(x - low, 0)


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
@pytest.mark.parametrize(("name", "sample"), ACTIVATIONS)
def test_activation(name: str, sample: samples.ActivationSample) -> None:
    inputs = samples.activation_inputs(F32)
    if name not in ("softmax", "log_softmax", "sparsemax", "glu"):
        inputs.append(samples.special_inputs(F32))
    for x in inputs:
        ours = getattr(activations, name)(x, **sample.arguments)
        theirs = np.asarray(getattr(keras.activations, name)(x, **sample.arguments))
        if name == "sparsemax":
            theirs = projected_on_simplex(x, sample.arguments.get("axis", -1))
        if name not in ("softmax", "log_softmax", "sparsemax", "glu"):
            theirs = np.where(np.isnan(x), x, theirs)  # Keras' thresholds swallow it
        assert ours.dtype == F32
        scale = value_scale(name, x, theirs, sample.arguments.get("axis", -1))
        assert_close(ours, theirs, ulps=8, scale=scale, what=name)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "sample"), LOSSES)
def test_loss(name: str, sample: samples.LossSample, weighted: bool) -> None:
    """Weighted and reduced by default, or neither; the rest: test_losses_parity.py."""
    if name in ("Dice", "Tversky") and weighted and "axis" not in sample.arguments:
        return  # one loss for the whole batch: refused, see tests/losses/test_reduction.py
    if name == "CosineSimilarity" and weighted and sample.arguments.get("axis") == 0:
        return  # one loss per column
    reduction = "sum_over_batch_size" if weighted else None
    ours = getattr(losses, name)(reduction=reduction, **sample.arguments)
    theirs = getattr(keras.losses, name)(reduction=reduction, **sample.arguments)
    for y_true, y_pred in (samples.loss_inputs(sample, F32), samples.edge_predictions(sample, F32)):
        weight = np.linspace(0.0, 2.0, len(y_true), dtype=F32) if weighted else None
        expected = np.asarray(theirs(y_true, y_pred, sample_weight=weight))
        found = ours(y_true, y_pred, sample_weight=weight)
        # Terms of size 1 are added and cancel: an absolute error beside a relative one.
        assert_close(found, expected, ulps=16, scale=np.abs(expected) + 1.0, what=name)


@pytest.mark.parametrize(("function", "name"), LOSS_FUNCTIONS)
def test_loss_function(function: str, name: str) -> None:
    for sample in samples.LOSSES[name]:
        arguments = dict(sample.arguments)
        if name == "CategoricalGeneralizedCrossEntropy":
            arguments.setdefault("q", 0.5)
        y_true, y_pred = samples.loss_inputs(sample, F32)
        ours = getattr(losses, function)(y_true, y_pred, **arguments)
        theirs = np.asarray(getattr(keras.losses, function)(y_true, y_pred, **arguments))
        assert ours.dtype == F32
        assert_close(ours, theirs, ulps=16, scale=np.abs(theirs) + 1.0, what=function)


@pytest.mark.parametrize(("name", "arguments"), of_keras("regularizers", samples.REGULARIZERS))
def test_regularizer(name: str, arguments: dict[str, Any]) -> None:
    for w in samples.weights(F32):
        ours = getattr(regularizers, name)(**arguments)(w)
        theirs = np.asarray(getattr(keras.regularizers, name)(**arguments)(keras.ops.array(w)))
        assert np.shape(ours) == ()
        assert_close(np.asarray(ours, F32), theirs, ulps=2 * w.size, what=name)


@pytest.mark.parametrize(
    ("name", "arguments"),
    of_keras("constraints", samples.CONSTRAINTS),
)
def test_constraint(name: str, arguments: dict[str, Any]) -> None:
    for w in samples.weights(F32):
        ours = getattr(constraints, name)(**arguments)(w)
        theirs = np.asarray(getattr(keras.constraints, name)(**arguments)(w))
        assert ours.dtype == F32
        assert_close(ours, theirs, ulps=len(w) + 8, what=name)


def test_values_follow_epsilon() -> None:
    """The guarded formulas read the setting when they are called."""
    from densekit._core import settings

    y_true, y_pred = np.array([[1.0]], F32), np.array([[0.0]], F32)
    before = losses.binary_crossentropy(y_true, y_pred)
    try:
        settings.set_epsilon(1e-3)
        after = losses.binary_crossentropy(y_true, y_pred)
        form = losses.BinaryCrossentropy().native_form()
    finally:
        settings.set_epsilon(1e-7)
    assert_close(before, -np.log([1e-7]), ulps=8)
    assert_close(after, -np.log([1e-3]), ulps=8)
    assert form is not None
    assert form.parameters[2] == 1e-3


def test_lists_and_variables_are_accepted() -> None:
    v = Variable(np.array([[3.0], [4.0]], F32))
    assert float(regularizers.L2(1.0)(v)) == 25.0
    assert constraints.NonNeg()(v).tolist() == [[3.0], [4.0]]
    assert activations.relu(v).tolist() == [[3.0], [4.0]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert float(losses.MeanSquaredError()([0, 1], [1.0, 1.0])) == 0.5
