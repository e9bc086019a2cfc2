"""Train a small network on handwritten digits, look inside it, save it and load it again.

Reads nothing, downloads nothing; writes digits.keras and digits.png to the current directory.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

import densekit as keras
from densekit.datasets import digits  # the one line that is not Keras

EPOCHS = 20
BATCH = 32


def build(steps: int) -> keras.Model:
    """Two hidden layers; the learning rate falls to zero over `steps` updates."""
    model = keras.Sequential(
        [
            keras.Input((8, 8)),
            keras.layers.Rescaling(1 / 16),
            keras.layers.Flatten(),
            keras.layers.Dense(256, "relu", kernel_regularizer=keras.regularizers.L2(2e-3)),
            keras.layers.Dropout(0.4),
            keras.layers.Dense(128, "relu"),
            keras.layers.Dropout(0.4),
            keras.layers.Dense(10, "softmax"),
        ],
        name="digits",
    )
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, steps)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def plot(history: dict, labels: np.ndarray, guesses: np.ndarray, kernel: np.ndarray) -> None:
    """Three panels: how it learned, what it confuses, what the first layer looks for."""
    figure, (curves, table, images) = plt.subplots(1, 3, figsize=(16, 5.2), layout="constrained")

    epochs = np.arange(1, len(history["accuracy"]) + 1)
    for key, name in (("accuracy", "training, with dropout"), ("val_accuracy", "held out")):
        curves.plot(epochs, 100 * np.array(history[key]), ".-", label=name, linewidth=2)
    curves.set(title="Learning curves", xlabel="epoch", ylabel="accuracy, %", box_aspect=1)
    curves.xaxis.get_major_locator().set_params(integer=True)
    curves.grid(alpha=0.3)
    curves.legend(loc="lower right", frameon=False)

    counts = np.zeros((10, 10), int)
    np.add.at(counts, (labels, guesses), 1)
    table.imshow(np.sqrt(counts), cmap="Blues")  # the root, so that single errors show
    for row, column in np.argwhere(counts):
        color = "white" if row == column else "crimson"
        table.text(column, row, counts[row, column], ha="center", va="center", color=color)
    table.set(title=f"Held out: {np.trace(counts)} of {len(labels)} right")
    table.set(xlabel="guess", ylabel="digit", xticks=range(10), yticks=range(10))

    strongest = np.argsort(-np.linalg.norm(kernel, axis=0))[:36]
    tiles = kernel[:, strongest].T.reshape(6, 6, 8, 8)  # (row of tiles, column of tiles, 8, 8)
    limit = np.percentile(np.abs(tiles), 99)
    tiles = np.pad(tiles, [(0, 0), (0, 0), (0, 1), (0, 1)], constant_values=np.nan)  # the gaps
    mosaic = tiles.transpose(0, 2, 1, 3).reshape(54, 54)[:-1, :-1]
    shown = images.imshow(mosaic, cmap="RdBu_r", vmin=-limit, vmax=limit)
    images.set(title="First layer: 36 strongest kernels", xticks=[], yticks=[], facecolor="0.75")
    figure.colorbar(shown, ax=images, label="weight per pixel", shrink=0.8)

    figure.savefig("digits.png", dpi=120)


def main() -> None:
    """Train, judge, save, load, draw."""
    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test) = digits.load_data()

    model = build(steps=EPOCHS * -(-len(x_train) // BATCH))
    model.summary()
    history = model.fit(
        x_train, y_train, batch_size=BATCH, epochs=EPOCHS, validation_data=(x_test, y_test)
    )
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"\nHeld-out accuracy: {100 * accuracy:.1f} % of {len(y_test)} digits")

    model.save("digits.keras")
    probabilities = model.predict(x_test, verbose=0)
    again = keras.models.load_model("digits.keras").predict(x_test, verbose=0)
    assert np.array_equal(probabilities, again)
    print("digits.keras: saved, loaded, predictions equal to the last bit")

    kernel, _ = model.layers[2].get_weights()
    plot(history.history, y_test, probabilities.argmax(axis=1), kernel)
    print("digits.png: learning curves, confusion matrix, kernels")


if __name__ == "__main__":
    main()
