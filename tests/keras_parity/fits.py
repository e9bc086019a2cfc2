"""The same model trained in densekit and in Keras, step by step, and compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

import densekit

Array = npt.NDArray[Any]

EPS = float(np.finfo(np.float32).eps)
ROWS, BATCH, EPOCHS = 52, 8, 2  # the last batch is short
WHOLE = 48  # rows of which none is
STEPS = EPOCHS * -(-ROWS // BATCH)

Build = Callable[[Any], Any]


def tolerance(scale: float) -> float:
    """Rounding of float32 sums over a layer, for as many steps as were made, on values of this
    size.
    """
    return 64 * EPS * STEPS * max(1.0, scale)


def assert_close(ours: Any, theirs: Any, what: str) -> None:
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape, what
    bound = tolerance(float(np.abs(theirs).max(initial=0)))
    worst = float(np.abs(ours - theirs).max(initial=0))
    assert worst <= bound, f"{what}: off by {worst:.3g}, allowed {bound:.3g}"


def both(build: Build) -> tuple[Any, Any]:
    """The same model in densekit and in Keras, with equal weights."""
    ours, theirs = build(densekit), build(keras)
    ours.set_weights([np.asarray(w) for w in theirs.get_weights()])
    return ours, theirs


def data(targets: str = "regression", rows: int = ROWS) -> tuple[Array, Array]:
    x, y = _data(targets)
    return x[:rows], y[:rows]


def _data(targets: str) -> tuple[Array, Array]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(ROWS, 5)).astype("float32")
    if targets == "regression":
        return x, rng.normal(size=(ROWS, 3)).astype("float32")
    labels = rng.integers(0, 3, ROWS)
    if targets == "labels":
        return x, labels
    if targets == "one_hot":
        return x, np.eye(3, dtype="float32")[labels]
    return x, (labels > 0).astype("float32")  # binary


def fit_both(
    build: Build,
    compile_args: Callable[[Any], dict[str, Any]],
    x: Any,
    y: Any,
    then: str = "evaluate and predict",
    **fit: Any,
) -> tuple[Any, Any]:
    """Train both, compare histories and weights, then evaluation and predictions.

    Keras compiles each for each shape of batch: what is no part of a test is left out of `then`.
    """
    ours, theirs = both(build)
    histories = []
    for library, model in ((densekit, ours), (keras, theirs)):
        model.compile(**compile_args(library))
        histories.append(
            model.fit(
                x,
                y,
                **{"batch_size": BATCH, "epochs": EPOCHS, "shuffle": False, "verbose": 0, **fit},
            ).history
        )
    assert list(histories[0]) == list(histories[1])
    for key in histories[0]:
        assert_close(histories[0][key], histories[1][key], f"history {key}")
    for w, v in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert_close(w, v, "weights")
    if "evaluate" in then:
        results = [
            m.evaluate(x, y, batch_size=BATCH, verbose=0, return_dict=True) for m in (ours, theirs)
        ]
        assert list(results[0]) == list(results[1])
        for key in results[0]:
            assert_close(results[0][key], results[1][key], f"evaluate {key}")
    if "predict" in then:
        predictions = [_flat(m.predict(x, batch_size=ROWS, verbose=0)) for m in (ours, theirs)]
        for p, q in zip(*predictions, strict=True):
            assert p.dtype == q.dtype
            assert_close(p, q, "predictions")
    return ours, theirs


def _flat(outputs: Any) -> list[Array]:
    if isinstance(outputs, dict):
        return [outputs[key] for key in sorted(outputs)]
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def net(units: int = 3, last: str | None = None, **dense: Any) -> Build:
    """A net of two layers; keyword arguments go to the first."""

    def build(library: Any) -> Any:
        arguments = {key: value(library) for key, value in dense.items()}
        layers = library.layers
        return library.Sequential(
            [
                library.Input((5,)),
                layers.Dense(6, activation="tanh", **arguments),
                layers.Dense(units, activation=last),
            ]
        )

    return build
