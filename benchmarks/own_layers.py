"""Models with parts that users write, trained by `fit`: seconds of a step, as JSON.

own_layers.py PEER SECONDS THREADS      started by run.py

Two own dense layers, own residual blocks, the subclassed VAE of Keras' guide (784-64-32, batch 64),
an own loss, and masked sequences. Each peer runs the same code with its own `keras`; Keras runs on
JAX, compiled as it does by itself.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np

Fit = Callable[[int], object]  # of so many steps
RNG = np.random.default_rng(0)


def arrays(batch: int, *shape: int) -> np.ndarray:
    return RNG.random((batch, *shape), dtype="float32")


def models(keras) -> dict[str, Fit]:
    layers, ops = keras.layers, keras.ops

    class Linear(layers.Layer):
        def __init__(self, units):
            super().__init__()
            self.units = units

        def build(self, shape):
            self.w = self.add_weight(shape=(shape[-1], self.units), initializer="glorot_uniform")
            self.b = self.add_weight(shape=(self.units,), initializer="zeros")

        def call(self, x):
            return ops.relu(ops.matmul(x, self.w) + self.b)

    class Residual(layers.Layer):
        def __init__(self, units):
            super().__init__()
            self.first, self.second = layers.Dense(units, "relu"), layers.Dense(units)
            self.norm = layers.LayerNormalization()

        def call(self, x):
            return x + self.second(self.first(self.norm(x)))

    class Sampling(layers.Layer):
        def __init__(self):
            super().__init__()
            self.seed_generator = keras.random.SeedGenerator(1337)

        def call(self, inputs):
            mean, log_var = inputs
            batch, dim = ops.shape(mean)[0], ops.shape(mean)[1]
            epsilon = keras.random.normal(shape=(batch, dim), seed=self.seed_generator)
            return mean + ops.exp(0.5 * log_var) * epsilon

    class Encoder(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = layers.Dense(64, activation="relu")
            self.mean, self.log_var = layers.Dense(32), layers.Dense(32)
            self.sampling = Sampling()

        def call(self, inputs):
            h = self.inner(inputs)
            mean, log_var = self.mean(h), self.log_var(h)
            return mean, log_var, self.sampling((mean, log_var))

    class Decoder(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = layers.Dense(64, activation="relu")
            self.outer = layers.Dense(784, activation="sigmoid")

        def call(self, inputs):
            return self.outer(self.inner(inputs))

    class VAE(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = Encoder(), Decoder()

        def call(self, inputs):
            mean, log_var, z = self.encoder(inputs)
            reconstructed = self.decoder(z)
            kl = -0.5 * ops.mean(log_var - ops.square(mean) - ops.exp(log_var) + 1)
            self.add_loss(kl)
            return reconstructed

    def own_loss(y_true, y_pred):
        error = ops.abs(y_true - y_pred)
        return ops.mean(ops.where(error < 1.0, 0.5 * ops.square(error), error - 0.5), axis=-1)

    def stack(width, *parts):
        return keras.Sequential([keras.Input((width,)), *parts])

    def fit_of(model, loss, batch, x_shape, y_shape) -> Fit:
        model.compile(keras.optimizers.Adam(1e-3), loss)

        def fit(steps: int) -> object:
            x, y = arrays(steps * batch, *x_shape), arrays(steps * batch, *y_shape)
            start = time.perf_counter()
            model.fit(x, y, batch_size=batch, epochs=1, verbose=0, shuffle=False)
            return time.perf_counter() - start

        return fit

    masked = keras.Sequential(
        [keras.Input((16, 8)), layers.Masking(), layers.Dense(32, "relu"), layers.Dense(4)]
    )
    return {
        "two own dense layers": fit_of(
            stack(20, Linear(32), Linear(16), layers.Dense(1)), "mse", 32, (20,), (1,)
        ),
        "own residual blocks": fit_of(
            stack(32, Residual(32), Residual(32), Residual(32), layers.Dense(1)),
            *("mse", 32, (32,), (1,)),
        ),
        "subclassed VAE": fit_of(VAE(), "mse", 64, (784,), (784,)),
        "own loss": fit_of(
            stack(20, layers.Dense(32, "relu"), layers.Dense(16, "relu"), layers.Dense(1)),
            *(own_loss, 32, (20,), (1,)),
        ),
        "masked sequences": fit_of(masked, "mse", 32, (16, 8), (16, 4)),
    }


def seconds_of(fit: Fit, at_least: float) -> float:
    """The best mean of a step over some runs of `fit`."""
    fit(32)
    few = fit(32)
    steps = max(32, min(2000, int(at_least / max(few / 32, 1e-6))))
    fit(steps)  # compiled anew for other shapes
    return min(fit(steps) for _ in range(5)) / steps


def main() -> None:
    peer, at_least = sys.argv[1], float(sys.argv[2])
    if peer == "densekit":
        import densekit as keras
    else:
        import keras
    print(json.dumps({name: seconds_of(f, at_least) for name, f in models(keras).items()}))


if __name__ == "__main__":
    main()
