"""`compute_metrics` of single batches: by kernels what `update_state` computes by definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import engines, metrics
from densekit._core.registry import public_name
from densekit.metrics import MeanMetricWrapper
from densekit.metrics._reduction import FunctionMean

RNG = np.random.default_rng(0)
BATCHES = [RNG.uniform(0.05, 0.95, size=(n, 3)).astype("float32") for n in (8, 5, 1)]


def all_of(kind: type) -> list[type]:
    return [kind, *(one for sub in kind.__subclasses__() for one in all_of(sub))]


def with_kernels() -> list[Any]:
    """Every metric of our own whose function has a kernel."""
    for name in metrics.__all__:
        getattr(metrics, name)
    kinds: list[Any] = [k for k in all_of(FunctionMean) if public_name(k) is not None]
    forms = [(k, k().form_of_total()) for k in kinds]
    return [k for k, form in forms if form is not None and not form.kind.startswith("sparse")]


def compiled(given: list[Any], **options: Any) -> Any:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse", metrics=given, **options)
    return model


@pytest.mark.parametrize("kind", with_kernels(), ids=lambda k: k.__name__)
def test_kernels_compute_what_the_definition_says(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []
    native: Any = type(engines.engine_kind("native"))
    original = native.mean_loss

    def noted(self: Any, form: Any, *rest: Any) -> Any:
        runs.append(form.kind)
        return original(self, form, *rest)

    monkeypatch.setattr(native, "mean_loss", noted)
    model, own = compiled([kind(name="m")]), kind()
    for y_true in BATCHES:
        y_pred = np.clip(y_true[::-1] + 0.01, 0, 1)
        found = model.compute_metrics(y=y_true, y_pred=y_pred)["m"]
        own.update_state(y_true, y_pred)
        np.testing.assert_allclose(found, own.result(), rtol=2e-6, atol=1e-7)
    assert len(runs) == len(BATCHES) - 1  # the first batch is looked at


def test_there_are_some() -> None:
    assert {metrics.MeanAbsoluteError, metrics.BinaryCrossentropy} <= set(with_kernels())


class Doubled(metrics.MeanAbsoluteError):
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        super().update_state(2 * y_true, 2 * y_pred, sample_weight)


def test_own_metrics_weights_types_and_settings_take_the_definition() -> None:
    y_true, y_pred = BATCHES[0], BATCHES[0][::-1].copy()
    error = np.abs(y_true - y_pred).mean()
    model = compiled(
        [Doubled(name="a"), MeanMetricWrapper(lambda t, p: 3 * abs(t - p), name="b"), "mae"],
        weighted_metrics=[metrics.MeanAbsoluteError(name="c")],
    )
    for _ in range(2):
        found = model.compute_metrics(y=y_true, y_pred=y_pred)
    np.testing.assert_allclose([found[n] / error for n in "abc"], [2, 3, 1], rtol=1e-5)
    model.reset_metrics()
    weight = np.array([1.0] * 4 + [0.0] * 4, "float32")
    for _ in range(2):
        found = model.compute_metrics(y=y_true, y_pred=y_pred, sample_weight=weight)
    np.testing.assert_allclose(found["c"], np.abs(y_true - y_pred)[:4].mean(), rtol=1e-5)
    np.testing.assert_allclose(found["mae"], error, rtol=1e-5)
    wide = model.compute_metrics(y=y_true.astype("float64"), y_pred=y_pred.astype("float64"))
    np.testing.assert_allclose(wide["mae"], error, rtol=1e-5)
    with pytest.raises(ValueError, match="shape"):
        model.compute_metrics(y=y_true[:, :2], y_pred=y_pred)


def test_epsilon_and_arguments_count() -> None:
    entropy = metrics.BinaryCrossentropy(name="m", from_logits=True, label_smoothing=0.1)
    model, own = (
        compiled([entropy]),
        metrics.BinaryCrossentropy(from_logits=True, label_smoothing=0.1),
    )
    for y_true in BATCHES[:2]:
        y_pred = y_true[::-1] * 4 - 2
        found = model.compute_metrics(y=y_true, y_pred=y_pred)["m"]
        own.update_state(y_true, y_pred)
    np.testing.assert_allclose(found, own.result(), rtol=2e-6)
