"""Draw activations.png: `python docs/images/activations.py`."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from densekit import activations

PANELS = {
    "rectifiers": ("relu", "leaky_relu", "elu", "selu"),
    "smooth": ("gelu", "silu", "mish", "softplus", "squareplus"),
    "sigmoids": ("sigmoid", "hard_sigmoid", "tanh", "hard_tanh", "softsign"),
    "shrinking": ("hard_shrink", "soft_shrink", "tanh_shrink"),
}


def main() -> None:
    """One panel for each family."""
    x = np.linspace(-4, 4, 801)
    figure, panels = plt.subplots(1, len(PANELS), figsize=(14, 3.2), layout="constrained")
    for panel, (family, names) in zip(panels, PANELS.items(), strict=True):
        for name in names:
            panel.plot(x, getattr(activations, name)(x), label=name, linewidth=1.5)
        panel.set(title=family, xlim=(-4, 4), ylim=(-2.1, 4))
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7, frameon=False, loc="upper left")
    figure.savefig(Path(__file__).with_name("activations.png"), dpi=75)


if __name__ == "__main__":
    main()
