"""Calls that do little work, where the way there counts: seconds of a call, as JSON.

small_calls.py PEER SECONDS THREADS      started by run.py

A network 20-32-16-1 with Adam and mean squared error, 32 rows. `fit of 100 rows` is one epoch of
four steps; `batch hook` is what a callback that looks at every batch adds to a step.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np
from own_steps import seconds_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3_200, 20)).astype("float32")
Y = RNG.normal(size=(3_200, 1)).astype("float32")
BATCHES = len(X) // 32


def calls(keras) -> dict[str, Callable[[], object]]:
    """What is called, by name."""
    layers = [keras.layers.Dense(32, "relu"), keras.layers.Dense(16, "relu")]
    model = keras.Sequential([keras.Input((20,)), *layers, keras.layers.Dense(1)])
    model.compile("adam", "mse")
    x, y = X[:32].copy(), Y[:32].copy()
    model.fit(X, Y, verbose=0)  # made for whole epochs
    return {
        "train_on_batch": lambda: model.train_on_batch(x, y),
        "test_on_batch": lambda: model.test_on_batch(x, y),
        "predict_on_batch": lambda: model.predict_on_batch(x),
        "evaluate of 32 rows": lambda: model.evaluate(x, y, verbose=0),
        "predict of 32 rows": lambda: model.predict(x, verbose=0),
        "fit of 100 rows": lambda: model.fit(X[:100], Y[:100], verbose=0),
    }


def batch_hook(keras, at_least: float) -> float:
    """What a batch hook adds to a step of `fit`."""

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    best = {}
    for _ in range(3):
        for looks in (False, True):
            hooks = [Look()] if looks else []
            best[looks] = min(best.get(looks, 9e9), _epoch(model, hooks, at_least))
    return (best[True] - best[False]) / BATCHES


def _epoch(model, hooks: list, at_least: float) -> float:
    """The best of some epochs."""
    best, end = float("inf"), time.perf_counter() + at_least
    while time.perf_counter() < end or best == float("inf"):
        start = time.perf_counter()
        model.fit(X, Y, verbose=0, callbacks=hooks)
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    peer, at_least = sys.argv[1], float(sys.argv[2])
    if peer == "densekit":
        import densekit as keras
    else:
        import keras
    found = {name: seconds_of(call, at_least) for name, call in calls(keras).items()}
    if peer == "densekit":  # Keras comes back to Python after every batch in any case
        found["batch hook"] = batch_hook(keras, at_least)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
