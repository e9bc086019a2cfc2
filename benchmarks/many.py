"""Many small networks: seconds of a training step of one of them, as JSON.

many.py PEER SECONDS THREADS      started by run.py

Networks 20-32-16-1 with Adam of different rates, 10,000 rows, batch 32: by `fit_many`, and built
and fitted one after another with as many threads. All that either does is counted: the networks
are built, made ready, trained and measured. `SECONDS` says how many networks there are.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

import densekit as keras

ROWS, BATCH, EPOCHS = 10_000, 32, 10
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 20)).astype("float32")
Y = np.tanh(X[:, :1] - X[:, 1:2] * X[:, 2:3]).astype("float32")
STEPS = EPOCHS * -(-ROWS // BATCH)  # of one network


def build(rate: float):
    layers = [keras.layers.Dense(32, "relu"), keras.layers.Dense(16, "relu")]
    model = keras.Sequential([keras.Input((20,)), *layers, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(rate), "mse")
    return model


def together(rates: list[float], epochs: int) -> object:
    """As `fit_many` trains them."""
    return keras.fit_many(
        build, {"rate": rates}, X, Y, epochs=epochs, batch_size=BATCH, seeds=0, verbose=0
    )


def one_by_one(rates: list[float], epochs: int) -> object:
    """The same networks in a loop."""
    models = []
    for seed, rate in enumerate(rates):
        keras.utils.set_random_seed(seed)
        models.append(build(rate))
        models[-1].fit(X, Y, epochs=epochs, batch_size=BATCH, verbose=0)
    return models


def main() -> None:
    keras.config.set_threads(int(sys.argv[3]))
    rates = list(np.geomspace(1e-4, 1e-2, max(8, int(3200 * float(sys.argv[2])))))
    found = {}
    for way, name in ((together, ""), (one_by_one, " one after another")):
        way(rates[:2], 1)
        start = time.perf_counter()
        way(rates, EPOCHS)
        seconds = time.perf_counter() - start
        found[f"{len(rates)} networks 20-32-16-1{name}"] = seconds / (STEPS * len(rates))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
