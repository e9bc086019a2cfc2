"""Every loss and optimizer with a kernel, through `fit`: without Python, and the numbers agree.

The reference is a subclass without a body: as its formula may be another one, it runs on the host.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import losses, optimizers
from densekit._core.native_form import native_form
from densekit._core.registry import components
from densekit.engines.host import HostLoss
from densekit.engines.plan_parameters import PlanParameters

from . import samples

ROWS, POSITIONS, CLASSES = 20, 2, 4
LOSSES = [
    (name, sample)
    for name, entries in samples.LOSSES.items()
    for sample in entries
    if native_form(getattr(losses, name)(**sample.arguments)) is not None
]
# Those that hold others are compared in tests/optimizers/test_wrappers.py.
HOLDERS = {"Optimizer", "LossScaleOptimizer", "MultiOptimizer", "OptimizerMap"}
OPTIMIZERS = [
    name
    for name in components("keras.optimizers")
    if name not in HOLDERS and native_form(getattr(optimizers, name)()) is not None
]


def hosted(cls: Any) -> Any:
    return type(cls.__name__, (cls,), {})


def targets(kind: str, rng: np.random.Generator) -> Any:
    labels = rng.integers(0, CLASSES, (ROWS, POSITIONS))
    shape = (ROWS, POSITIONS, CLASSES)
    return {
        "real": rng.normal(size=shape),
        "positive": rng.uniform(0.1, 3.0, shape),
        "plus_minus": rng.choice([-1.0, 1.0], shape),
        "zero_one": rng.integers(0, 2, shape).astype(float),
        "distribution": rng.dirichlet(np.ones(CLASSES), (ROWS, POSITIONS)),
        "one_hot": np.eye(CLASSES)[labels],
        "labels": labels,
    }[kind]


LAST = {
    "real": "linear",
    "positive": "softplus",
    "probability": "sigmoid",
    "distribution": "softmax",
}


def train(
    loss: Any, optimizer: Any, last: str, y: Any, **fit: Any
) -> tuple[list[float], list[Any]]:
    """History and weights after two epochs in float64, the output of rank 3."""
    rng = np.random.default_rng(3)
    model = keras.Sequential(
        [
            keras.Input((POSITIONS, 5), dtype="float64"),
            keras.layers.Dense(7, activation="tanh", dtype="float64"),
            keras.layers.Dense(CLASSES, activation=last, dtype="float64"),
        ]
    )
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    assert {w.dtype for w in model.weights} == {"float64"}
    model.compile(optimizer, loss)
    x = rng.normal(size=(ROWS, POSITIONS, 5))
    history = model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0, **fit)
    weights = [w.numpy() for w in (*model.weights, *model.optimizer.variables)]
    return history.history["loss"], weights


def assert_same(one: tuple[list[float], list[Any]], other: tuple[list[float], list[Any]]) -> None:
    np.testing.assert_allclose(one[0], other[0], rtol=1e-12, atol=1e-12)
    for a, b in zip(one[1], other[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.fixture
def no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses and optimizers that reach for Python fail."""

    def refuse(*_: Any) -> Any:
        raise AssertionError("this runs on the host")

    monkeypatch.setattr(HostLoss, "__call__", refuse)
    monkeypatch.setattr(PlanParameters, "_apply", refuse)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight"])
@pytest.mark.parametrize(("name", "sample"), LOSSES)
def test_loss(
    name: str, sample: samples.LossSample, reduction: str, request: pytest.FixtureRequest
) -> None:
    rng = np.random.default_rng(8)
    y = targets(sample.targets, rng)
    cls = getattr(losses, name)
    arguments = {**sample.arguments, "reduction": reduction, "dtype": "float64"}
    form = native_form(cls(**arguments))
    assert form is not None
    fit = {} if form.whole_batch else {"sample_weight": rng.uniform(0, 2, ROWS)}
    last = LAST[sample.predictions]
    expected = train(hosted(cls)(**arguments), "sgd", last, y, **fit)
    request.getfixturevalue("no_host")
    assert_same(train(cls(**arguments), "sgd", last, y, **fit), expected)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(name: str, request: pytest.FixtureRequest) -> None:
    y = targets("real", np.random.default_rng(8))
    cls = getattr(optimizers, name)
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    options = {"weight_decay": 0.01, "clipnorm": 0.5, "use_ema": True}
    expected = train("mse", hosted(cls)(rate, **options), "linear", y)
    request.getfixturevalue("no_host")
    assert_same(train("mse", cls(rate, **options), "linear", y), expected)


@pytest.mark.parametrize("name", ["Hinge", "SquaredHinge"])
def test_whether_labels_are_zero_one_is_decided_by_the_batch(name: str) -> None:
    """Rows of 0 and 1 are converted unless another row of their batch is not like that."""
    y = np.zeros((ROWS, POSITIONS, CLASSES))
    y[8:11] = 1
    y[13, 1, 2] = -1
    cls = getattr(losses, name)
    both = [train(c(dtype="float64"), "sgd", "linear", y) for c in (cls, hosted(cls))]
    assert_same(*both)
