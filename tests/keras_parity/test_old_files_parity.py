"""HDF5 files in the forms that Keras 2 wrote, beside what Keras 3 makes of them."""

from __future__ import annotations

import json
import warnings

import h5py
import keras as K
import numpy as np
import pytest

import densekit as D

# Two float32 evaluations of nets this small differ by the order of a few sums.
TOLERANCE = 64 * np.finfo("float32").eps


def assert_close(first, second) -> None:
    first, second = np.asarray(first), np.asarray(second)
    scale = max(1.0, float(np.abs(second).max()))
    np.testing.assert_allclose(first, second, rtol=0, atol=TOLERANCE * scale)


KERAS_2 = {
    "class_name": "Sequential",
    "config": {
        "name": "sequential",
        "layers": [
            {
                "class_name": "InputLayer",
                "config": {
                    "batch_input_shape": [None, 4],
                    "dtype": "float32",
                    "sparse": False,
                    "ragged": False,
                    "name": "dense_input",
                },
            },
            {
                "class_name": "Dense",
                "config": {
                    "name": "dense",
                    "trainable": True,
                    "batch_input_shape": [None, 4],
                    "dtype": "float32",
                    "units": 3,
                    "activation": "relu",
                    "use_bias": True,
                    "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}},
                    "bias_initializer": {"class_name": "Zeros", "config": {}},
                    "kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.01}},
                    "bias_regularizer": None,
                    "activity_regularizer": None,
                    "kernel_constraint": {
                        "class_name": "MaxNorm",
                        "config": {"max_value": 2, "axis": 0},
                    },
                    "bias_constraint": None,
                },
            },
            {
                "class_name": "Dropout",
                "config": {
                    "name": "dropout",
                    "trainable": True,
                    "dtype": "float32",
                    "rate": 0.5,
                    "noise_shape": None,
                    "seed": None,
                },
            },
            {
                "class_name": "LeakyReLU",
                "config": {"name": "leaky", "trainable": True, "dtype": "float32", "alpha": 0.25},
            },
        ],
    },
}
TRAINING_2 = {
    "loss": "mse",
    "metrics": [["mae"]],
    "weighted_metrics": None,
    "loss_weights": None,
    "optimizer_config": {
        "class_name": "Custom>Adam",
        "config": {
            "name": "Adam",
            "learning_rate": 0.001,
            "decay": 0.0,
            "beta_1": 0.9,
            "beta_2": 0.999,
            "epsilon": 1e-07,
            "amsgrad": False,
            "is_legacy_optimizer": False,
            "jit_compile": False,
        },
    },
}


def write_keras_2(path, config, kernel, bias) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.11.0"
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["training_config"] = json.dumps(TRAINING_2)
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = np.array([b"dense", b"dropout", b"leaky"])
        weights.attrs["backend"] = b"tensorflow"
        weights.attrs["keras_version"] = b"2.11.0"
        for name in ("dropout", "leaky"):
            weights.create_group(name).attrs["weight_names"] = np.array([], "S1")
        dense = weights.create_group("dense")
        dense.attrs["weight_names"] = np.array([b"dense/kernel:0", b"dense/bias:0"])
        dense["dense/kernel:0"], dense["dense/bias:0"] = kernel, bias


@pytest.mark.parametrize("input_layer", [True, False])
def test_files_of_keras_2(input_layer, tmp_path, rng) -> None:
    config = json.loads(json.dumps(KERAS_2))
    if not input_layer:  # as Keras 2.0 to 2.3 wrote it
        del config["config"]["layers"][0]
    kernel, bias = rng.normal(size=(4, 3)).astype("f4"), rng.normal(size=3).astype("f4")
    write_keras_2(tmp_path / "m.h5", config, kernel, bias)
    model = D.models.load_model(tmp_path / "m.h5")
    x = rng.normal(size=(5, 4)).astype("f4")
    z = np.maximum(x @ kernel + bias, 0)
    assert_close(model(x), z)
    assert model.layers[2].negative_slope == 0.25
    assert model.layers[0].kernel_constraint.max_value == 2
    assert type(model.optimizer).__name__ == "Adam"
    if input_layer:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras 3 warns of every old argument
            theirs = K.models.load_model(str(tmp_path / "m.h5"), compile=False)
        assert_close(theirs(x), model(x))


def test_functional_files_of_keras_2(tmp_path) -> None:
    """Calls written as lists of ``[layer, call, output, kwargs]``."""
    dense = KERAS_2["config"]["layers"][1]["config"]
    layers = [
        {
            "class_name": "InputLayer",
            "config": {"batch_input_shape": [None, 4], "dtype": "float32", "name": "x"},
            "name": "x",
            "inbound_nodes": [],
        },
        *(
            {
                "class_name": "Dense",
                "config": {**dense, "name": name},
                "name": name,
                "inbound_nodes": [[["x", 0, 0, {}]]],
            }
            for name in ("a", "b")
        ),
        {
            "class_name": "Concatenate",
            "config": {"name": "c", "trainable": True, "dtype": "float32", "axis": -1},
            "name": "c",
            "inbound_nodes": [[["a", 0, 0, {}], ["b", 0, 0, {}]]],
        },
    ]
    config = {
        "class_name": "Functional",
        "config": {
            "name": "model",
            "layers": layers,
            "input_layers": [["x", 0, 0]],
            "output_layers": [["c", 0, 0]],
        },
    }
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(config)
    model = D.models.load_model(tmp_path / "m.h5")
    assert model(np.zeros((2, 4), "float32")).shape == (2, 6)
