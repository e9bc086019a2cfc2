"""Variational autoencoder with a `train_step` of its own: handwritten digits on a plane.

Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014, equation 10: the loss is what the
decoder fails to rebuild, plus the divergence of the code from a normal distribution. Encoder and
decoder are models of their own; the tape runs both natively, and records the sampling between
them. Writes vae.png: the plane of codes, and digits drawn from it.
"""

from __future__ import annotations

import argparse

import matplotlib.pyplot as plt
import numpy as np

import densekit as keras
from densekit import ops

CODE = 2
PIXELS = 64


class VAE(keras.Model):
    """An encoder to mean and log variance, a decoder, and the loss that joins them."""

    def __init__(self) -> None:
        super().__init__()
        image = keras.Input((PIXELS,))
        hidden = keras.layers.Dense(128, "relu")(image)
        hidden = keras.layers.Dense(64, "relu")(hidden)
        heads = [keras.layers.Dense(CODE)(hidden), keras.layers.Dense(CODE)(hidden)]
        self.encoder = keras.Model(image, heads)
        self.decoder = keras.Sequential(
            [
                keras.Input((CODE,)),
                keras.layers.Dense(64, "relu"),
                keras.layers.Dense(128, "relu"),
                keras.layers.Dense(PIXELS, "sigmoid"),
            ]
        )
        self.seeds = keras.random.SeedGenerator(0)
        self.trackers = [keras.metrics.Mean(name=n) for n in ("loss", "rebuilding", "divergence")]

    @property
    def metrics(self) -> list:
        return self.trackers

    def losses_of(self, images, training: bool):
        """Rebuilding and divergence, each summed over an image and averaged over the batch."""
        mean, log_variance = self.encoder(images, training=training)
        noise = keras.random.normal(mean.shape, seed=self.seeds)
        rebuilt = self.decoder(mean + ops.exp(log_variance / 2) * noise, training=training)
        each = keras.losses.binary_crossentropy(images, rebuilt)
        divergence = -0.5 * (1 + log_variance - mean**2 - ops.exp(log_variance))
        return PIXELS * ops.mean(each), ops.mean(ops.sum(divergence, axis=1))

    def told(self, rebuilding, divergence):
        values = (rebuilding + divergence, rebuilding, divergence)
        for tracker, value in zip(self.trackers, values, strict=True):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self.trackers}

    def train_step(self, images):
        with keras.GradientTape() as tape:
            rebuilding, divergence = self.losses_of(images, training=True)
            loss = rebuilding + divergence
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        return self.told(rebuilding, divergence)

    def test_step(self, images):
        return self.told(*self.losses_of(images, training=False))


def plot(model: VAE, images: np.ndarray, digits: np.ndarray) -> None:
    """Where the encoder puts the digits; what the decoder draws at each place."""
    figure, (codes, drawn) = plt.subplots(1, 2, figsize=(12.5, 5.6), layout="constrained")
    means = model.encoder.predict(images, verbose=0)[0]
    points = codes.scatter(*means.T, c=digits, cmap="tab10", s=10, linewidths=0)
    figure.colorbar(points, ax=codes, label="digit", shrink=0.8)
    codes.set(title="Codes of the digits held out", aspect="equal")

    side = 15
    places = np.linspace(-2, 2, side, dtype="float32")
    grid = np.stack(np.meshgrid(places, places[::-1]), axis=-1).reshape(-1, CODE)
    tiles = model.decoder.predict(grid, verbose=0).reshape(side, side, 8, 8)
    drawn.imshow(tiles.transpose(0, 2, 1, 3).reshape(8 * side, 8 * side), cmap="Greys")
    drawn.set(title="Digits drawn from the plane", xticks=[], yticks=[])
    figure.savefig("vae.png", dpi=120)


def main() -> None:
    """Train and draw."""
    parser = argparse.ArgumentParser(description="Variational autoencoder of digits")
    parser.add_argument("--epochs", type=int, default=60, help="default 60")
    options = parser.parse_args()

    keras.utils.set_random_seed(0)
    (images, _), (held_out, digits) = keras.datasets.digits.load_data()
    images = images.reshape(-1, PIXELS).astype("float32") / 16
    held_out = held_out.reshape(-1, PIXELS).astype("float32") / 16
    model = VAE()
    model.compile(optimizer=keras.optimizers.Adam(2e-3))
    model.fit(images, epochs=options.epochs, batch_size=64, verbose=0)
    told = model.evaluate(held_out, verbose=0, return_dict=True)
    print(
        f"held out: loss {told['loss']:.2f} = rebuilding {told['rebuilding']:.2f}"
        f" + divergence {told['divergence']:.2f}"
    )
    plot(model, held_out, digits)
    print("vae.png: codes on the plane, digits drawn from it")


if __name__ == "__main__":
    main()
