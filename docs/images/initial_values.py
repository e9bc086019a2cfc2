"""Draw initial_values.png, the size of signals: `python docs/images/initial_values.py`."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import densekit as keras

DEPTH, WIDTH = 30, 256
INITIALIZERS = {
    "tanh": ("random_normal", "glorot_uniform", "he_normal"),
    "relu": ("random_normal", "glorot_uniform", "he_normal"),
    "selu": ("random_normal", "lecun_normal", "he_normal"),
}


def deviations(activation: str, initializer: str) -> list[float]:
    """The root of the mean square of what each layer gives, for normal inputs."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(512, WIDTH)).astype("float32")
    found = [float(np.sqrt(np.mean(np.square(x))))]
    for _ in range(DEPTH):
        x = np.asarray(keras.layers.Dense(WIDTH, activation, kernel_initializer=initializer)(x))
        found.append(float(np.sqrt(np.mean(np.square(x)))))
    return found


def main() -> None:
    """The uniform distribution of Glorot, then one panel for each activation."""
    figure, (first, *panels) = plt.subplots(1, 4, figsize=(15, 3.4), layout="constrained")
    keras.utils.set_random_seed(0)
    layer = keras.layers.Dense(128)
    layer.build((None, 784))
    limit = np.sqrt(6 / (784 + 128))
    edges = limit * np.linspace(-1.25, 1.25, 51)
    first.hist(layer.kernel.numpy().ravel(), bins=edges, color="#6baed6")
    for side in (-limit, limit):
        first.axvline(side, color="black", linewidth=1)
    first.set(title="glorot_uniform, 784 to 128", xlabel="weight; lines at -l and l")
    for panel, (activation, names) in zip(panels, INITIALIZERS.items(), strict=True):
        for name in names:
            panel.plot(deviations(activation, name), label=name, linewidth=1.5)
        panel.set(title=activation, xlabel="layer", yscale="log", ylim=(1e-4, 1e3))
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8, frameon=False, loc="lower left")
    panels[0].set_ylabel("size of the outputs")
    figure.savefig(Path(__file__).with_name("initial_values.png"), dpi=75)


if __name__ == "__main__":
    main()
