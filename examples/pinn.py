"""A physics-informed network: solve a differential equation by making its residual small.

Raissi, Perdikaris and Karniadakis, "Physics-informed neural networks", J. Comp. Phys. 378, 2019.
Here a damped oscillator, ``u'' + 2 d u' + w^2 u = 0`` with ``u(0) = 1`` and ``u'(0) = 0``, whose
solution is known. The network is given no values of u: it learns from the equation alone, at
points of time. Derivatives by the input come from nested tapes. Writes pinn.png.
"""

from __future__ import annotations

import argparse

import matplotlib.pyplot as plt
import numpy as np

import densekit as keras
from densekit import ops

DAMPING, FREQUENCY, END = 0.25, 2.0, 4.0


def exact(t: np.ndarray) -> np.ndarray:
    """The solution."""
    ringing = np.sqrt(FREQUENCY**2 - DAMPING**2)
    return np.exp(-DAMPING * t) * (np.cos(ringing * t) + DAMPING / ringing * np.sin(ringing * t))


class Oscillator(keras.Model):
    """``u = 1 + t^2 / (1 + t^2) * network``: so both conditions at 0 hold, whatever it says."""

    def __init__(self) -> None:
        super().__init__()
        hidden = [keras.layers.Dense(32, "tanh") for _ in range(2)]
        self.network = keras.Sequential([keras.Input((1,)), *hidden, keras.layers.Dense(1)])
        self.residual = keras.metrics.Mean(name="residual")

    @property
    def metrics(self) -> list:
        return [self.residual]

    def call(self, t, training=False):
        return 1 + t**2 / (1 + t**2) * self.network(t - END / 2, training=training)

    def train_step(self, t):
        with keras.GradientTape() as tape:
            with keras.GradientTape() as second:
                second.watch(t)
                with keras.GradientTape() as first:
                    first.watch(t)
                    u = self(t, training=True)
                speed = first.gradient(u, t)
            acceleration = second.gradient(speed, t)
            residual = acceleration + 2 * DAMPING * speed + FREQUENCY**2 * u
            loss = ops.mean((residual / FREQUENCY**2) ** 2)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.residual.update_state(loss)
        return {"residual": self.residual.result()}


def plot(t: np.ndarray, found: np.ndarray, residuals: list[float]) -> None:
    """The solution found and the known one; the residual while training."""
    figure, (solution, curve) = plt.subplots(1, 2, figsize=(12.5, 4.5), layout="constrained")
    solution.plot(t, exact(t), color="0.7", linewidth=5, label="known")
    solution.plot(t, found, label="found")
    solution.set(title="Damped oscillator", xlabel="t", ylabel="u")
    solution.legend(frameon=False)
    curve.semilogy(residuals)
    curve.set(title="Mean square of the residual", xlabel="epoch")
    for axes in (solution, curve):
        axes.grid(alpha=0.3)
    figure.savefig("pinn.png", dpi=120)


def main() -> None:
    """Train, compare and draw."""
    parser = argparse.ArgumentParser(description="Physics-informed network: damped oscillator")
    parser.add_argument("--epochs", type=int, default=1000, help="of one step (default 1000)")
    options = parser.parse_args()

    keras.utils.set_random_seed(0)
    points = np.linspace(0, END, 64, dtype="float32")[:, None]
    model = Oscillator()
    schedule = keras.optimizers.schedules.CosineDecay(1e-2, options.epochs)
    model.compile(optimizer=keras.optimizers.Adam(schedule))
    history = model.fit(points, epochs=options.epochs, batch_size=64, verbose=0).history
    t = np.linspace(0, END, 301, dtype="float32")[:, None]
    found = model.predict(t, verbose=0)
    error = float(np.abs(found - exact(t)).max())
    print(f"largest error {error:.4f}, last residual {history['residual'][-1]:.1e}")
    plot(t[:, 0], found[:, 0], history["residual"])
    print("pinn.png: solution found and known, residual")


if __name__ == "__main__":
    main()
