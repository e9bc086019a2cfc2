"""Keras code, run by Keras and by densekit alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workloads import EPSILON, LEARNING_RATE, Array, Network, Training


def build(keras: Any, w: Network) -> Any:
    """The network with its starting weights."""
    layers = [keras.Input((w.widths[0],))]
    for units in w.widths[1:-1]:
        if w.normalized:
            layers += [keras.layers.Dense(units), keras.layers.BatchNormalization()]
            layers.append(keras.layers.Activation(w.activation))
        else:
            layers.append(keras.layers.Dense(units, activation=w.activation))
        if w.dropout:
            layers.append(keras.layers.Dropout(w.dropout))
    layers.append(keras.layers.Dense(w.widths[-1], activation=w.output))
    model = keras.Sequential(layers)
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    for layer, pair in zip(dense, w.weights(), strict=True):
        layer.set_weights(pair)
    return model


def compiled(keras: Any, w: Training) -> Any:
    """The network, ready to train."""
    model = build(keras, w)
    if w.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(LEARNING_RATE)
    else:
        optimizer = keras.optimizers.Adam(LEARNING_RATE, epsilon=EPSILON)
    model.compile(optimizer=optimizer, loss=w.loss)
    return model


class Run:
    """Training with `fit`."""

    def __init__(self, keras: Any, w: Training, x: Array, y: Array) -> None:
        self.keras, self.w, self.x, self.y = keras, w, x, y
        self.model = compiled(keras, w)

    def epochs(self, k: int, rows: int) -> int:
        self.model.fit(self.x[:rows], self.y[:rows], batch_size=self.w.batch, epochs=k, verbose=0)
        return k * rows

    def check(self, steps: int) -> Array:
        rows = steps * self.w.batch
        model = compiled(self.keras, self.w.without_dropout())
        model.fit(self.x[:rows], self.y[:rows], batch_size=self.w.batch, shuffle=False, verbose=0)
        return model.predict(self.x[:64], verbose=0)


class Many:
    """Networks side by side, with `fit_many`: building them is part of it."""

    note = "with building"

    def __init__(self, keras: Any, w: Training, x: Array, y: Array, members: int) -> None:
        self.keras, self.w, self.x, self.y, self.members = keras, w, x, y, members

    def epochs(self, k: int, rows: int) -> int:
        self._fit(self.x[:rows], self.y[:rows], epochs=k)
        return k * rows

    def _fit(self, x: Array, y: Array, **options: Any) -> Any:
        def built(member: int) -> Any:
            return compiled(self.keras, self.w)

        grid = {"member": list(range(self.members))}
        return self.keras.fit_many(
            built, grid, x, y, batch_size=self.w.batch, seeds=0, verbose=0, **options
        )

    def check(self, steps: int) -> Array:
        rows = steps * self.w.batch
        fitted = self._fit(self.x[:rows], self.y[:rows], shuffle=False)
        return fitted.models[-1].predict(self.x[:64], verbose=0)


def on_device(keras: Any, w: Network, x: Array) -> Callable[[bool], None]:
    """A model inside `jax.jit`: predicts a batch on the device; waits for it if told to."""
    import jax
    import jax.numpy as jnp

    model, rows = build(keras, w), jnp.asarray(x)
    state = [
        [jnp.asarray(v) for v in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]
    call = jax.jit(lambda trainable, other, x: model.stateless_call(trainable, other, x)[0])

    def run(wait: bool) -> None:
        y = call(*state, rows)
        if wait:
            jax.block_until_ready(y)

    return run


def paths(keras: Any, w: Network, x: Array, to_numpy: Callable[[Any], Array]) -> dict[str, Any]:
    model = build(keras, w)
    return {
        "model(x)": lambda: to_numpy(model(x)),
        "predict": lambda: model.predict(x, batch_size=max(32, len(x)), verbose=0),
    }
