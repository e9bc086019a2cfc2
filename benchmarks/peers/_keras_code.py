"""Keras code, run by Keras and by densekit alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workloads import EPSILON, LEARNING_RATE, Array, Network, Training


def build(keras: Any, w: Network) -> Any:
    """The network with its starting weights."""
    layers = [keras.Input((w.widths[0],))]
    for units in w.widths[1:-1]:
        layers.append(keras.layers.Dense(units, activation=w.activation))
        if w.dropout:
            layers.append(keras.layers.Dropout(w.dropout))
    layers.append(keras.layers.Dense(w.widths[-1], activation=w.output))
    model = keras.Sequential(layers)
    model.set_weights([p for pair in w.weights() for p in pair])
    return model


class Run:
    """Training with `fit`."""

    def __init__(self, keras: Any, w: Training, x: Array, y: Array) -> None:
        self.keras, self.w, self.x, self.y = keras, w, x, y
        self.model = self._compiled(w)

    def _compiled(self, w: Training) -> Any:
        model = build(self.keras, w)
        adam = self.keras.optimizers.Adam(LEARNING_RATE, epsilon=EPSILON)
        model.compile(optimizer=adam, loss=w.loss)
        return model

    def epochs(self, k: int, rows: int) -> int:
        self.model.fit(self.x[:rows], self.y[:rows], batch_size=self.w.batch, epochs=k, verbose=0)
        return k * rows

    def check(self, steps: int) -> Array:
        rows = steps * self.w.batch
        model = self._compiled(self.w.without_dropout())
        model.fit(self.x[:rows], self.y[:rows], batch_size=self.w.batch, shuffle=False, verbose=0)
        return model.predict(self.x[:64], verbose=0)


def paths(keras: Any, w: Network, x: Array, to_numpy: Callable[[Any], Array]) -> dict[str, Any]:
    model = build(keras, w)
    return {
        "model(x)": lambda: to_numpy(model(x)),
        "predict": lambda: model.predict(x, batch_size=max(32, len(x)), verbose=0),
    }
