"""Wasserstein GAN with weight clipping: learn to draw points from a ring of eight Gaussians.

Algorithm 1 of Arjovsky, Chintala and Bottou, "Wasserstein GAN", arXiv:1701.07875, with RMSprop and
five critic steps for one of the generator as there. The networks here are small and the time is
short, so the clipping bound is 0.1 (paper: 0.01) and the learning rate 2e-3, falling to zero
(paper: 5e-5). Only Keras code: `import keras` runs it too. Writes wgan.png.
"""

from __future__ import annotations

import argparse

import matplotlib.pyplot as plt
import numpy as np

import densekit as keras

CLIP = 0.1
LEARNING_RATE = 2e-3
CRITIC_STEPS = 5
BATCH = 64
LATENT = 2

RADIUS, SIGMA = 2.0, 0.1
ANGLES = 2 * np.pi * np.arange(8) / 8
MODES = RADIUS * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)


class ClipConstraint(keras.constraints.Constraint):
    """Weights within [-bound, bound], which bounds the critic's slope.

    Written here to show that any constraint on `keras.ops` will do. densekit has this one built in,
    `keras.constraints.Clip(-bound, bound)`; it runs in the native core and is a little faster.
    """

    def __init__(self, bound: float) -> None:
        self.bound = bound

    def __call__(self, w):
        return keras.ops.clip(w, -self.bound, self.bound)

    def get_config(self) -> dict:
        return {"bound": self.bound}


class Centred(keras.regularizers.Regularizer):
    """Penalty on the mean of a batch of points: the ring is centred, so must the drawings be."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, x):
        return self.factor * keras.ops.sum(keras.ops.square(keras.ops.mean(x, axis=0)))

    def get_config(self) -> dict:
        return {"factor": self.factor}


def wasserstein(sign, score):
    """Mean score, with sign -1 for points to score high and +1 for points to score low."""
    return keras.ops.mean(sign * score)


def build_critic() -> keras.Model:
    """Two coordinates in, a score out."""

    def dense(units: int, activation: str | None, use_bias: bool = True) -> keras.layers.Dense:
        return keras.layers.Dense(
            units,
            activation,
            use_bias=use_bias,
            kernel_constraint=ClipConstraint(CLIP),
            bias_constraint=ClipConstraint(CLIP) if use_bias else None,
        )

    # Leaky: a plain ReLU with weights held so small may die. And only differences of scores matter,
    # so the last layer needs no bias.
    hidden = [dense(64, "leaky_relu") for _ in range(3)]
    return keras.Sequential([keras.Input((2,)), *hidden, dense(1, None, use_bias=False)])


def build_generator() -> keras.Model:
    """Noise in, two coordinates out."""
    hidden = [keras.layers.Dense(64, "relu") for _ in range(3)]
    points = keras.layers.Dense(2, activity_regularizer=Centred(0.1))
    return keras.Sequential([keras.Input((LATENT,)), *hidden, points])


def rmsprop(steps: int) -> keras.optimizers.Optimizer:
    """RMSprop with a learning rate that falls to zero over `steps` updates."""
    return keras.optimizers.RMSprop(
        keras.optimizers.schedules.CosineDecay(LEARNING_RATE, max(steps, 1))
    )


def draw_real(rng: np.random.Generator, count: int) -> np.ndarray:
    """Points from the ring."""
    points = MODES[rng.integers(8, size=count)] + SIGMA * rng.normal(size=(count, 2))
    return points.astype("float32")


def draw_noise(rng: np.random.Generator, count: int) -> np.ndarray:
    """What the generator draws from."""
    return rng.normal(size=(count, LATENT)).astype("float32")


def share_of_modes(points: np.ndarray) -> np.ndarray:
    """The share of `points` within three sigma of each mode, (8,)."""
    distances = np.linalg.norm(points[:, None] - MODES, axis=2)
    return (distances < 3 * SIGMA).mean(axis=0)


def train(steps: int, seed: int) -> tuple[keras.Model, keras.Model, list[float]]:
    """The generator, the critic, and the critic's estimate of the distance at each step."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    critic, generator = build_critic(), build_generator()
    critic.compile(rmsprop(steps * CRITIC_STEPS), loss=wasserstein)
    combined = keras.Sequential([generator, critic])
    combined.compile(rmsprop(steps), loss=wasserstein)

    high, low = -np.ones((BATCH, 1), "float32"), np.ones((BATCH, 1), "float32")
    signs = np.concatenate([high, low] * CRITIC_STEPS)
    distances = []
    for step in range(1, steps + 1):
        # The critic's steps in one call of fit: each batch is half real, half drawn.
        drawn = generator.predict(draw_noise(rng, CRITIC_STEPS * BATCH), verbose=0)
        real = draw_real(rng, CRITIC_STEPS * BATCH)
        pairs = zip(np.split(real, CRITIC_STEPS), np.split(drawn, CRITIC_STEPS), strict=True)
        points = np.concatenate([half for pair in pairs for half in pair])
        critic.trainable = True
        history = critic.fit(points, signs, batch_size=2 * BATCH, shuffle=False, verbose=0)
        distances.append(-2 * history.history["loss"][0])

        # The generator's step. `trainable` counts at the moment of training.
        critic.trainable = False
        combined.train_on_batch(draw_noise(rng, BATCH), high)

        if step % 250 == 0 or step == steps:
            shares = share_of_modes(generator.predict(draw_noise(rng, 2000), verbose=0))
            covered, near = np.sum(shares > 0.02), 100 * shares.sum()
            print(
                f"step {step:5}: {covered} of 8 modes, {near:3.0f} % of the points near one",
                flush=True,
            )
    return generator, critic, distances


def plot(real: np.ndarray, drawn: np.ndarray, critic: keras.Model, distances: list[float]) -> None:
    """Real and generated points over the critic's scores; the distance while training."""
    figure, (plane, curve) = plt.subplots(1, 2, figsize=(12.5, 5.6), layout="constrained")

    axis = np.linspace(-3, 3, 121, dtype="float32")
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)
    scores = critic.predict(grid.reshape(-1, 2), verbose=0).reshape(121, 121)
    shown = plane.pcolormesh(axis, axis, scores, cmap="Greys_r", alpha=0.5, linewidth=0)
    figure.colorbar(shown, ax=plane, label="critic's score", shrink=0.8)
    plane.scatter(*real.T, s=6, color="tab:blue", linewidths=0, label="real")
    plane.scatter(*drawn.T, s=6, color="tab:orange", linewidths=0, label="generated")
    covered = np.sum(share_of_modes(drawn) > 0.02)
    plane.set(title=f"Ring of eight Gaussians: {covered} modes covered", aspect="equal")
    plane.set(xlim=(-3, 3), ylim=(-3, 3))
    plane.legend(loc="center", markerscale=3)

    window = min(50, len(distances))
    smooth = np.convolve(distances, np.full(window, 1 / window), mode="valid")
    curve.plot(distances, color="0.8", linewidth=0.8, label="each step")
    curve.plot(np.arange(len(smooth)) + window / 2, smooth, label=f"mean of {window} steps")
    curve.set(title="Distance of real and generated, by the critic", xlabel="generator step")
    curve.set(ylabel="score of real - score of generated")
    curve.grid(alpha=0.3)
    curve.legend(frameon=False)

    figure.savefig("wgan.png", dpi=120)


def main() -> None:
    """Train and draw."""
    parser = argparse.ArgumentParser(description="W-GAN on a ring of eight Gaussians")
    parser.add_argument("--steps", type=int, default=2000, help="generator steps (default 2000)")
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    options = parser.parse_args()

    generator, critic, distances = train(options.steps, options.seed)
    rng = np.random.default_rng(options.seed + 1)
    drawn = generator.predict(draw_noise(rng, 2000), verbose=0)
    plot(draw_real(rng, 2000), drawn, critic, distances)
    print("wgan.png: real and generated points, distance by the critic")


if __name__ == "__main__":
    main()
