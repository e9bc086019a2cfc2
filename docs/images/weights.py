"""Draw weights.png, kernels under penalties and constraints: `python docs/images/weights.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import densekit as keras

CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "L1(0.3)": {"kernel_regularizer": keras.regularizers.L1(0.3)},
    "L2(0.5)": {"kernel_regularizer": keras.regularizers.L2(0.5)},
    "NonNeg": {"kernel_constraint": "non_neg"},
    "MaxNorm(1)": {"kernel_constraint": keras.constraints.MaxNorm(1.0)},
    "Clip(-0.3, 0.3)": {"kernel_constraint": keras.constraints.Clip(-0.3, 0.3)},
}
FEATURES = 20  # of which 5 matter
TRUTH = np.array([1.5, -1.0, 0.8, -0.6, 0.4, *[0.0] * (FEATURES - 5)])


def trained(arguments: dict[str, Any]) -> np.ndarray:
    """The kernel after training on noisy sums of the features."""
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, FEATURES)).astype("float32")
    y = (x @ TRUTH + rng.normal(size=200)).astype("float32")
    model = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(1, **arguments)])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit(x, y, epochs=300, verbose=0)
    kernel: np.ndarray = model.layers[0].kernel.numpy()[:, 0]
    return kernel


def main() -> None:
    """One panel for each case."""
    figure, panels = plt.subplots(1, len(CASES), figsize=(15, 3), layout="constrained", sharey=True)
    for panel, (name, arguments) in zip(panels, CASES.items(), strict=True):
        panel.bar(range(FEATURES), trained(arguments), color="#6baed6")
        panel.plot(range(FEATURES), TRUTH, "k_", markersize=8)
        panel.set(title=name, xlabel="feature", ylim=(-1.3, 1.8))
        panel.grid(alpha=0.3, axis="y")
    panels[0].set_ylabel("weight")
    figure.savefig(Path(__file__).with_name("weights.png"), dpi=75)


if __name__ == "__main__":
    main()
