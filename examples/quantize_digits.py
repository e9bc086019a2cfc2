"""Keep a trained network in fewer bits: what it saves, what it costs, how fast it is.

A network of two hidden layers learns handwritten digits, then its weights are kept as int8 and as
int4, in groups of 128 and of 16 inputs. Prints a table and writes quantize_digits.png.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np

import densekit as keras
from densekit.datasets import digits

Int4 = keras.quantizers.Int4QuantizationConfig
KINDS = {
    "float32": None,
    "int8": keras.quantizers.Int8QuantizationConfig(),
    "int4, groups of 16": Int4(block_size=16),
    "int4, groups of 128": Int4(block_size=128),
}
ROWS = 4096


def train(units: int, epochs: int) -> keras.Model:
    """A network that knows the digits."""
    (x, y), _ = digits.load_data()
    model = keras.Sequential(
        [
            keras.Input((8, 8)),
            keras.layers.Rescaling(1 / 16),
            keras.layers.Flatten(),
            keras.layers.Dense(units, "relu"),
            keras.layers.Dense(units, "relu"),
            keras.layers.Dense(10, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x.astype("float32"), y, epochs=epochs, verbose=0)
    return model


def seconds(model: keras.Model, x: np.ndarray) -> float:
    """Shortest time of a prediction: what the machine does beside only adds to it."""
    times = []
    for _ in range(30):
        start = time.perf_counter()
        model.predict(x, batch_size=len(x), verbose=0)
        times.append(time.perf_counter() - start)
    return min(times)


def measure(trained: keras.Model) -> list[tuple[str, float, float, float, float]]:
    """By kind: KiB of the file, accuracy, largest change of a probability, milliseconds."""
    _, (x, y) = digits.load_data()
    x = x.astype("float32")
    many = np.resize(x, (ROWS, 8, 8))
    exact = trained.predict(x, verbose=0)
    rows = []
    with TemporaryDirectory() as folder:
        trained.save(Path(folder) / "trained.keras")
        for kind, config in KINDS.items():
            model = keras.saving.load_model(Path(folder) / "trained.keras", compile=False)
            if config is not None:
                model.quantize(config=config)
            model.save_weights(Path(folder) / "model.weights.h5")
            size = (Path(folder) / "model.weights.h5").stat().st_size / 1024
            found = model.predict(x, verbose=0)
            accuracy = float(np.mean(found.argmax(axis=1) == y))
            change = float(np.abs(found - exact).max())
            rows.append((kind, size, accuracy, change, 1e3 * seconds(model, many)))
    return rows


def draw(rows: list[tuple[str, float, float, float, float]]) -> None:
    """Bars of size and error; times are those of this machine, now, and only printed."""
    names = [row[0] for row in rows]
    figure, axes = plt.subplots(1, 2, figsize=(9, 2.6), sharey=True, layout="constrained")
    panels = (
        ("weights, KiB", [row[1] for row in rows]),
        ("largest change of a probability", [row[3] for row in rows]),
    )
    for ax, (title, values) in zip(axes, panels, strict=True):
        bars = ax.barh(names, values, color=["0.6", "tab:blue", "tab:orange", "tab:orange"])
        ax.bar_label(bars, fmt="%.4g", padding=3)
        ax.set_title(title)
        ax.margins(x=0.2)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].invert_yaxis()
    figure.savefig("quantize_digits.png", dpi=120)


def main() -> None:
    """Train, quantize, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=20)
    given = parser.parse_args()
    keras.utils.set_random_seed(0)
    rows = measure(train(given.units, given.epochs))
    print(f"{'kept as':22}{'KiB':>8}{'accuracy':>11}{'change':>9}{'ms':>8}")
    for kind, size, accuracy, change, milliseconds in rows:
        print(f"{kind:22}{size:8.0f}{100 * accuracy:9.1f} %{change:9.4f}{milliseconds:8.2f}")
    draw(rows)


if __name__ == "__main__":
    main()
