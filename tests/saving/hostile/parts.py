"""A genuine model, and the parts of its files that are spoilt."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import h5py
import numpy as np

import densekit as keras

L = keras.layers
CONFIG, WEIGHTS = "config.json", "model.weights.h5"

# What must happen: refused, or either loaded or refused.
REFUSED, EITHER = "refused", "either"


def genuine():
    x = keras.Input((4,), name="x")
    hidden = L.Dense(
        3, "relu", kernel_regularizer="l2", kernel_constraint="max_norm", name="hidden"
    )(x)
    hidden = L.Dropout(0.5, name="drop")(hidden)
    hidden = keras.ops.multiply(hidden, 2.0)
    y = L.Dense(2, name="out")(hidden)
    model = keras.Model(x, y, name="m")
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae", keras.metrics.AUC(name="a")])
    model.fit(np.ones((8, 4)), np.ones((8, 2)), epochs=1, verbose=0)
    return model


class Parts:
    """The parts of genuine files, to be spoilt."""

    def __init__(self, folder: Path) -> None:
        model = genuine()
        model.save(folder / "good.keras")
        model.save(folder / "good.h5")
        with zipfile.ZipFile(folder / "good.keras") as archive:
            self.config = json.loads(archive.read(CONFIG))
            self.weights = archive.read(WEIGHTS)
        self.keras = (folder / "good.keras").read_bytes()
        self.h5 = (folder / "good.h5").read_bytes()
        with h5py.File(folder / "good.h5") as file:
            self.h5_config = json.loads(file.attrs["model_config"])
            self.h5_training = json.loads(file.attrs["training_config"])


def pack(path: Path, config, weights: bytes, compression=zipfile.ZIP_STORED) -> None:
    text = config if isinstance(config, str | bytes) else json.dumps(config)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr(CONFIG, text)
        archive.writestr(WEIGHTS, weights)


def layer(config, name):
    return next(one for one in config["config"]["layers"] if one.get("name") == name)


def dense(config):
    return layer(config, "hidden")["config"]
