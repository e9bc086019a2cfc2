"""Parts of files of Keras 1 and 2, made by hand to the format of each release."""

from __future__ import annotations

import json

import h5py
import numpy as np

import densekit as keras

RNG = np.random.default_rng(0)
W1, B1 = RNG.normal(size=(3, 4)).astype("f4"), RNG.normal(size=4).astype("f4")
W2, B2 = RNG.normal(size=(4, 1)).astype("f4"), RNG.normal(size=1).astype("f4")
X = RNG.normal(size=(5, 3)).astype("f4")
EXPECTED = np.maximum(X @ W1 + B1, 0) @ W2 + B2
LAYERS = {"dense_1": (W1, B1), "dense_2": (W2, B2)}


def dense2(name, units, activation="linear", **more):
    """A `Dense` as Keras 2 described it."""
    glorot = {
        "class_name": "VarianceScaling",
        "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": None},
    }
    config = {
        "name": name,
        "trainable": True,
        "units": units,
        "activation": activation,
        "use_bias": True,
        "kernel_initializer": glorot,
        "bias_initializer": {"class_name": "Zeros", "config": {}},
        "kernel_regularizer": None,
        "bias_regularizer": None,
        "activity_regularizer": None,
        "kernel_constraint": None,
        "bias_constraint": None,
    }
    return {"class_name": "Dense", "config": config | more}


def two_layers(**first):
    first = {"batch_input_shape": [None, 3], "dtype": "float32"} | first
    return [dense2("dense_1", 4, "relu", **first), dense2("dense_2", 1)]


def write_h5(path, model_config, training=None, state=None, version="2.2.2", layers=LAYERS):
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = version.encode()
        file.attrs["backend"] = b"tensorflow"
        file.attrs["model_config"] = json.dumps(model_config).encode()
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [name.encode() for name in layers]
        for name, arrays in layers.items():
            group = weights.create_group(name)
            names = [f"{name}/{kind}:0" for kind in ("kernel", "bias")][: len(arrays)]
            group.attrs["weight_names"] = [n.encode() for n in names]
            for key, array in zip(names, arrays, strict=True):
                group[key] = array
        if training is not None:
            file.attrs["training_config"] = json.dumps(training).encode()
        if state is not None:
            group = file.create_group("optimizer_weights")
            group.attrs["weight_names"] = [name.encode() for name, _ in state]
            for name, value in state:
                group[name] = value
    return path


def check(path, **kwargs):
    model = keras.models.load_model(path, **kwargs)
    np.testing.assert_allclose(model.predict(X, verbose=0), EXPECTED, rtol=1e-5, atol=1e-6)
    return model


SHAPES = [W1.shape, B1.shape, W2.shape, B2.shape]


def slot(seed, shape):
    return np.random.default_rng(seed).uniform(0.1, 1, size=shape).astype("f4")


def training_of(name, **arguments):
    return {
        "optimizer_config": {"class_name": name, "config": arguments},
        "loss": "mse",
        "metrics": [],
        "weighted_metrics": None,
        "loss_weights": None,
    }


def slots(kind):
    return [slot(kind * 10 + i, shape) for i, shape in enumerate(SHAPES)]


def held(optimizer, kind):
    ends = [v for v in optimizer.variables if v.name.endswith(f"_{kind}")]
    return [v.numpy() for v in ends]
