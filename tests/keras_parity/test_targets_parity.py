"""Own losses and metrics are handed targets, predictions and weights as Keras hands them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import densekit

ROWS = 6
X = np.random.default_rng(0).normal(size=(ROWS, 2)).astype("float32")
NUMBERS = np.array([0.0, 1.1, 1.0, 0.5, 1.0, 2.0])

TARGETS: dict[str, Any] = {
    "float64": NUMBERS,
    "float32": NUMBERS.astype("float32"),
    "integers": NUMBERS.astype("int32"),
    "booleans": NUMBERS > 0.7,
    "a column": NUMBERS[:, None].astype("float32"),
    "a series": pd.Series(NUMBERS),
    "a series of integers": pd.Series(NUMBERS.astype("int32")),
    "a frame": pd.DataFrame({"y": NUMBERS}),
}
WEIGHTS: dict[str, Any] = {
    "none": None,
    "float64": NUMBERS + 1,
    "a column": NUMBERS[:, None] + 1,
    "a series": pd.Series(NUMBERS + 1),
}
OUTPUTS = ("(n, 1)", "(n, 3)", "(n,)")
Shapes = dict[str, set[str]]


def shape_of(value: Any) -> str:
    return "none" if value is None else f"{tuple(value.shape)} {value.dtype}"


def handed(library: Any, output: str, loss: str, call: Callable[[Any], None]) -> Shapes:
    """What own objects see in a call: shapes and types by object."""
    ops, seen = library.ops, dict[str, set[str]]()

    def note(who: str, *values: Any) -> None:
        seen.setdefault(who, set()).add(", ".join(map(shape_of, values)))

    def per_row(y_pred: Any) -> Any:
        return ops.mean(ops.abs(y_pred), axis=-1) if len(y_pred.shape) > 1 else ops.abs(y_pred)

    def loss_function(y_true: Any, y_pred: Any) -> Any:
        note("loss", y_true, y_pred)
        return per_row(y_pred)

    class OwnLoss(library.losses.Loss):  # type: ignore[misc, name-defined]
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return loss_function(y_true, y_pred)

    def metric_function(y_true: Any, y_pred: Any) -> Any:
        note("metric function", y_true, y_pred)
        return per_row(y_pred)

    class OwnMetric(library.metrics.Metric):  # type: ignore[misc, name-defined]
        def __init__(self, name: str) -> None:
            super().__init__(name=name)
            self.total = self.add_variable((), "zeros", name="total")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            note(self.name, y_true, y_pred, sample_weight)

        def result(self) -> Any:
            return self.total + 0.0

    inputs = library.Input((2,))
    outputs = library.layers.Dense(3 if output == "(n, 3)" else 1)(inputs)
    if output == "(n,)":
        outputs = library.layers.Lambda(lambda v: ops.squeeze(v, -1), output_shape=())(outputs)
    model = library.Model(inputs, outputs)
    model.compile(
        "sgd",
        loss_function if loss == "function" else OwnLoss(),
        metrics=[metric_function, OwnMetric("metric")],
        weighted_metrics=[OwnMetric("weighted")],
    )
    call(model)
    return seen


def of_any_rows(entries: set[str]) -> set[str]:
    return {re.sub(r"\((\d+|None),", "(n,", entry) for entry in entries}


def assert_alike(output: str, call: Callable[[Any], None], losses: Any = ("function", "object")):
    for loss in losses:
        ours, theirs = (handed(library, output, loss, call) for library in (densekit, keras))
        # Keras looks at shapes with another batch size first; ours too, with fewer.
        for who in theirs:
            if who == "loss":  # one that is followed into the plan sees no number of rows
                assert of_any_rows(ours[who]) >= of_any_rows(theirs[who]), (loss, who)
            else:
                assert ours[who] >= theirs[who], (loss, who)
            ranks = [{entry.count(",") for entry in seen[who]} for seen in (ours, theirs)]
            assert ranks[0] == ranks[1], (loss, who)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("target", TARGETS)
def test_targets(target: str, output: str) -> None:
    def call(model: Any) -> None:
        model.fit(X, TARGETS[target], batch_size=3, verbose=0)
        model.evaluate(X, TARGETS[target], batch_size=3, verbose=0)

    assert_alike(output, call, ["function"] if output == "(n,)" else ["object"])


@pytest.mark.parametrize("target", ["float64", "a series"])
def test_batches_of_one_row(target: str) -> None:
    def call(model: Any) -> None:
        model.fit(X, TARGETS[target], sample_weight=WEIGHTS["a series"], batch_size=1, verbose=0)

    assert_alike("(n, 1)", call)


@pytest.mark.parametrize("weight", WEIGHTS)
def test_weights(weight: str) -> None:
    def call(model: Any) -> None:
        model.fit(X, TARGETS["float32"], sample_weight=WEIGHTS[weight], batch_size=3, verbose=0)

    assert_alike("(n, 1)", call)


@pytest.mark.parametrize("target", ["float64", "integers", "a column"])
def test_single_batches(target: str) -> None:
    def call(model: Any) -> None:
        model.train_on_batch(X, TARGETS[target], NUMBERS + 1)
        model.test_on_batch(X, TARGETS[target])

    assert_alike("(n, 1)", call)


@pytest.mark.parametrize("target", ["float64", "a series", "a frame"])
def test_streams(target: str) -> None:
    def call(model: Any) -> None:
        source = ((X, TARGETS[target], NUMBERS + 1) for _ in range(4))
        model.fit(source, steps_per_epoch=2, shuffle=False, verbose=0)

    assert_alike("(n, 1)", call, ["object"])


@pytest.mark.parametrize("target", ["float64", "a series"])
def test_a_split(target: str) -> None:
    def call(model: Any) -> None:
        model.fit(X, TARGETS[target], validation_split=0.5, batch_size=3, verbose=0)

    assert_alike("(n, 1)", call, ["object"])


@pytest.mark.parametrize("target", ["a column", "a series", "a frame"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("units", [1, 3])
def test_an_own_loss_of_a_series_is_keras_own(target: str, batch: int, units: int) -> None:
    """The textbook loss, which broadcasts (3,) against (3, 1) and (3, 3) along the wrong axis."""
    results = []
    for library in (densekit, keras):

        class Squared(library.losses.Loss):  # type: ignore[misc, name-defined]
            ops = library.ops

            def call(self, y_true: Any, y_pred: Any) -> Any:
                return self.ops.mean(self.ops.square(y_pred - y_true), axis=-1)

        def error(y_true: Any, y_pred: Any, ops: Any = library.ops) -> Any:
            return ops.mean(ops.abs(y_pred - y_true), axis=-1)

        model = library.Sequential(
            [library.Input((2,)), library.layers.Dense(units, kernel_initializer="ones")]
        )
        model.compile("sgd", Squared(), metrics=[error], weighted_metrics=[error])
        weight = pd.Series(NUMBERS + 1)
        fit = {"batch_size": batch, "epochs": 2, "shuffle": False, "verbose": 0}
        history = model.fit(X, TARGETS[target], sample_weight=weight, **fit).history
        tested = model.evaluate(X, TARGETS[target], verbose=0, return_dict=True)
        results.append((history, tested, model.get_weights()))
    ours, theirs = results
    assert list(ours[0]) == list(theirs[0])
    for key in theirs[0]:
        np.testing.assert_allclose(ours[0][key], theirs[0][key], rtol=1e-5)
    for key in theirs[1]:
        np.testing.assert_allclose(ours[1][key], theirs[1][key], rtol=1e-5)
    for w, v in zip(ours[2], theirs[2], strict=True):
        np.testing.assert_allclose(w, np.asarray(v), rtol=1e-4, atol=1e-6)


def test_the_comparison_can_fail() -> None:
    def call(model: Any) -> None:
        shape = (-1,) if isinstance(model, densekit.Model) else (-1, 1)
        model.fit(X, NUMBERS.reshape(shape), batch_size=3, verbose=0)

    with pytest.raises(AssertionError):
        assert_alike("(n, 1)", call, ["object"])
