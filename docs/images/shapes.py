"""Draw shapes.png, what Dense multiplies: `python docs/images/shapes.py`."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

INPUT, KERNEL, BIAS, OUTPUT = "#9ecae1", "#fdae6b", "#fdd0a2", "#a1d99b"
ONE_INPUT, ONE_OUTPUT = "#4292c6", "#41ab5d"  # of one sample


def cells(
    axes: Axes, x: float, y: float, rows: int, columns: int, colour: str, first: str = ""
) -> None:
    """A matrix of unit cells whose upper left corner is at x, y; `first` colours its first row."""
    for row in range(rows):
        for column in range(columns):
            fill = first if row == 0 and first else colour
            axes.add_patch(
                Rectangle((x + column, y - row - 1), 1, 1, facecolor=fill, edgecolor="white")
            )


def label(axes: Axes, x: float, name: str, shape: str, y: float = 0.4) -> None:
    """What a matrix is, above it."""
    axes.text(x, y, f"{name}\n{shape}", ha="center", va="bottom", fontsize=11)


def sign(axes: Axes, x: float, text: str) -> None:
    """An operator between two matrices."""
    axes.text(x, -2, text, ha="center", va="center", fontsize=14)


def panel(axes: Axes, left: float, width: float, title: str) -> None:
    """The title of a part of the picture."""
    axes.text(left + width / 2, 3, title, ha="center", va="bottom", fontsize=13)


def rank_two(axes: Axes, x: float) -> None:
    """One row of inputs a sample."""
    panel(axes, x, 14, "rank 2: a row is a sample")
    cells(axes, x, 0, 4, 3, INPUT, ONE_INPUT)
    label(axes, x + 1.5, "input", "(B, I)")
    sign(axes, x + 3.7, "·")
    cells(axes, x + 4.4, 0, 3, 2, KERNEL)
    label(axes, x + 5.4, "kernel", "(I, U)")
    sign(axes, x + 7.1, "+")
    cells(axes, x + 7.8, 0, 1, 2, BIAS)
    label(axes, x + 8.8, "bias", "(U,)")
    sign(axes, x + 10.8, "→ f →")
    cells(axes, x + 12, 0, 4, 2, OUTPUT, ONE_OUTPUT)
    label(axes, x + 13, "output", "(B, U)")


def rank_three(axes: Axes, x: float) -> None:
    """The same kernel at every position."""
    panel(axes, x, 15, "rank 3: one kernel for all positions")
    for back in (1.2, 0.6, 0.0):
        front = back == 0
        cells(axes, x + back, back - 1.2, 3, 3, INPUT, ONE_INPUT if front else "")
        cells(axes, x + 12.8 + back, back - 1.2, 3, 2, OUTPUT, ONE_OUTPUT if front else "")
    label(axes, x + 2.1, "input", "(B, T, I)")
    sign(axes, x + 4.9, "·")
    cells(axes, x + 5.6, 0, 3, 2, KERNEL)
    label(axes, x + 6.6, "kernel", "(I, U)")
    sign(axes, x + 10.2, "+ bias → f →")
    label(axes, x + 14.4, "output", "(B, T, U)")


def flattened(axes: Axes, x: float) -> None:
    """All axes of a sample as one."""
    panel(axes, x, 20, "rank 3, flatten=True: a sample is one row")
    cells(axes, x, 0, 4, 9, INPUT, ONE_INPUT)
    label(axes, x + 4.5, "input", "(B, T·I)")
    sign(axes, x + 9.7, "·")
    cells(axes, x + 10.4, 0, 9, 2, KERNEL)
    label(axes, x + 11.4, "kernel", "(T·I, U)")
    sign(axes, x + 15, "+ bias → f →")
    cells(axes, x + 17.6, 0, 4, 2, OUTPUT, ONE_OUTPUT)
    label(axes, x + 18.6, "output", "(B, U)")


def main() -> None:
    """Three parts, on one scale."""
    figure, axes = plt.subplots(figsize=(15, 3.8), layout="constrained")
    rank_two(axes, 0)
    rank_three(axes, 17.5)
    flattened(axes, 36.5)
    axes.set(xlim=(-0.5, 56.6), ylim=(-9.2, 4.4), aspect="equal")
    axes.axis("off")
    figure.savefig(Path(__file__).with_name("shapes.png"), dpi=75)


if __name__ == "__main__":
    main()
