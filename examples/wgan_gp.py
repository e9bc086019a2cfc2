"""Wasserstein GAN with gradient penalty: learn to draw points from a ring of eight Gaussians.

Algorithm 1 of Gulrajani et al., "Improved training of Wasserstein GANs", arXiv:1704.00028: the
critic is not clipped, but pays for slopes that are not 1 between real and drawn points. A slope is
a gradient by the input, and the penalty is trained: tapes are nested. The whole algorithm is one
`train_step`, so that `fit`, callbacks and the progress bar are those of any model. Writes
wgan_gp.png.
"""

from __future__ import annotations

import argparse

import matplotlib.pyplot as plt
import numpy as np

import densekit as keras
from densekit import ops

BATCH = 64
LATENT = 2
CRITIC_STEPS = 5
PENALTY = 1.0  # the paper's 10 is for images; a plane needs less
RADIUS, SIGMA = 2.0, 0.1
ANGLES = 2 * np.pi * np.arange(8) / 8
MODES = RADIUS * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)


class WGAN(keras.Model):
    """A critic and a generator, and how they learn from each other."""

    def __init__(self) -> None:
        super().__init__()
        self.critic = network([64, 64], 1)
        self.generator = network([64, 64], 2)
        self.rng = np.random.default_rng(0)
        self.distance = keras.metrics.Mean(name="distance")
        self.slope = keras.metrics.Mean(name="slope")

    def compile(self, critic_optimizer, generator_optimizer) -> None:
        super().compile()
        self.critic_optimizer = critic_optimizer
        self.generator_optimizer = generator_optimizer

    @property
    def metrics(self) -> list:
        return [self.distance, self.slope]

    def noise(self, count: int) -> np.ndarray:
        return self.rng.normal(size=(count, LATENT)).astype("float32")

    def gradient_penalty(self, real, drawn):
        """How far the critic's slope is from 1, at points between real and drawn ones."""
        share = self.rng.uniform(size=(len(real), 1)).astype("float32")
        between = share * real + (1 - share) * drawn
        with keras.GradientTape() as tape:
            tape.watch(between)
            score = self.critic(between, training=True)
        gradient = tape.gradient(score, between)
        slope = ops.sqrt(ops.sum(gradient**2, axis=1) + 1e-12)
        self.slope.update_state(slope)
        return ops.mean((slope - 1) ** 2)

    def train_step(self, real):
        for part in np.split(real, CRITIC_STEPS):
            drawn = self.generator(self.noise(len(part)))
            with keras.GradientTape() as tape:
                distance = ops.mean(self.critic(part, training=True)) - ops.mean(
                    self.critic(drawn, training=True)
                )
                loss = PENALTY * self.gradient_penalty(part, drawn) - distance
            gradients = tape.gradient(loss, self.critic.trainable_variables)
            self.critic_optimizer.apply(gradients, self.critic.trainable_variables)
            self.distance.update_state(distance)

        with keras.GradientTape() as tape:
            loss = -ops.mean(self.critic(self.generator(self.noise(BATCH), training=True)))
        gradients = tape.gradient(loss, self.generator.trainable_variables)
        self.generator_optimizer.apply(gradients, self.generator.trainable_variables)
        return {metric.name: metric.result() for metric in self.metrics}


def network(hidden: list[int], outputs: int) -> keras.Model:
    """Two coordinates in. Smooth activations: the slope is differentiated again."""
    layers = [keras.layers.Dense(units, "silu") for units in hidden]
    return keras.Sequential([keras.Input((2,)), *layers, keras.layers.Dense(outputs)])


def draw_real(rng: np.random.Generator, count: int) -> np.ndarray:
    """Points from the ring."""
    points = MODES[rng.integers(8, size=count)] + SIGMA * rng.normal(size=(count, 2))
    return points.astype("float32")


def share_of_modes(points: np.ndarray) -> np.ndarray:
    """The share of `points` within four sigma of each mode, (8,)."""
    distances = np.linalg.norm(points[:, None] - MODES, axis=2)
    return (distances < 4 * SIGMA).mean(axis=0)


def plot(real: np.ndarray, drawn: np.ndarray, model: WGAN, history: dict) -> None:
    """Points over the critic's scores; distance and slope while training."""
    figure, (plane, curve) = plt.subplots(1, 2, figsize=(12.5, 5.6), layout="constrained")
    axis = np.linspace(-3, 3, 121, dtype="float32")
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)
    scores = model.critic.predict(grid.reshape(-1, 2), verbose=0).reshape(121, 121)
    shown = plane.pcolormesh(axis, axis, scores, cmap="Greys_r", alpha=0.5, linewidth=0)
    figure.colorbar(shown, ax=plane, label="critic's score", shrink=0.8)
    plane.scatter(*real.T, s=6, color="tab:blue", linewidths=0, label="real")
    plane.scatter(*drawn.T, s=6, color="tab:orange", linewidths=0, label="generated")
    covered = np.sum(share_of_modes(drawn) > 0.02)
    plane.set(title=f"Ring of eight Gaussians: {covered} modes covered", aspect="equal")
    plane.set(xlim=(-3, 3), ylim=(-3, 3))
    plane.legend(loc="center", markerscale=3)
    curve.plot(history["distance"], label="distance of real and generated, by the critic")
    curve.plot(history["slope"], label="slope of the critic between them; 1 is asked for")
    curve.set(title="While training", xlabel="epoch")
    curve.grid(alpha=0.3)
    curve.legend(frameon=False)
    figure.savefig("wgan_gp.png", dpi=120)


def main() -> None:
    """Train and draw."""
    parser = argparse.ArgumentParser(description="W-GAN with gradient penalty")
    parser.add_argument("--epochs", type=int, default=24, help="of 25 generator steps (default 24)")
    options = parser.parse_args()

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(1)
    model = WGAN()
    model.compile(
        keras.optimizers.Adam(1e-3, beta_1=0.0, beta_2=0.9),
        keras.optimizers.Adam(5e-4, beta_1=0.0, beta_2=0.9),
    )
    real = draw_real(rng, 25 * CRITIC_STEPS * BATCH)
    history = model.fit(
        real, batch_size=CRITIC_STEPS * BATCH, epochs=options.epochs, verbose=0
    ).history
    drawn = model.generator.predict(model.noise(2000), verbose=0)
    shares = share_of_modes(drawn)
    print(
        f"{np.sum(shares > 0.02)} of 8 modes, {100 * shares.sum():.0f} % of the points near one; "
        f"slope {history['slope'][-1]:.2f}, distance {history['distance'][-1]:.2f}"
    )
    plot(draw_real(rng, 2000), drawn, model, history)
    print("wgan_gp.png: real and generated points over the critic's scores")


if __name__ == "__main__":
    main()
