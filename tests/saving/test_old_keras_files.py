"""The `.keras` format of Keras 2.12 to 2.15."""

from __future__ import annotations

import io
import json
import warnings
import zipfile

import h5py
import numpy as np
import pytest
from tests.saving.old_files import (
    B1,
    B2,
    EXPECTED,
    W1,
    W2,
    X,
    check,
    dense2,
    held,
    slots,
)

import densekit as keras


def dense15(name, units, activation="linear", **more):
    config = dense2(name, units, activation, **more)["config"]
    for key in ("kernel_initializer", "bias_initializer"):
        config[key] = {
            "module": "keras.initializers",
            "class_name": "GlorotUniform" if key[0] == "k" else "Zeros",
            "config": {"seed": None} if key[0] == "k" else {},
            "registered_name": None,
        }
    return {
        "module": "keras.layers",
        "class_name": "Dense",
        "config": {**config, "dtype": "float32"},
        "registered_name": None,
        "build_config": {"input_shape": more.get("batch_input_shape", [None, 4])},
    }


def keras15(path, groups, optimizer=None, first=None, module="keras.optimizers", **arguments):
    """A `.keras` file; `groups` are the arrays by path."""
    layers = [dense15("dense", 4, "relu", batch_input_shape=[None, 3]), dense15("dense_1", 1)]
    entry = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {
            "batch_input_shape": [None, 3],
            "dtype": "float32",
            "sparse": False,
            "ragged": False,
            "name": "dense_input",
        },
        "registered_name": None,
    }
    config = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "sequential", "layers": [entry, *layers] if first else layers},
        "registered_name": "Sequential",
        "build_config": {"input_shape": [None, 3]},
    }
    if optimizer:
        config["compile_config"] = {
            "optimizer": {
                "module": module,
                "class_name": optimizer,
                "config": {
                    "name": optimizer,
                    "learning_rate": 0.125,
                    "jit_compile": False,
                    "is_legacy_optimizer": False,
                    "weight_decay": None,
                }
                | arguments,
                "registered_name": optimizer,
            },
            "loss": {
                "module": "keras.losses",
                "class_name": "MeanSquaredError",
                "config": {"reduction": "auto", "name": "mse", "fn": "mean_squared_error"},
                "registered_name": None,
            },
            "metrics": None,
            "loss_weights": None,
            "weighted_metrics": None,
            "run_eagerly": None,
            "steps_per_execution": None,
            "jit_compile": None,
        }
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_group("vars")
        for place, arrays in groups.items():
            group = file.create_group(place).create_group("vars")
            for i, array in enumerate(arrays):
                group[str(i)] = array
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.13.1"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", buffer.getvalue())
    return path


OLD = "_layer_checkpoint_dependencies"


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(
    "places",
    [
        ("layers/dense", "layers/dense_1"),
        (f"{OLD}/dense", f"{OLD}/dense_1"),
        (f"{OLD}/dense", f"{OLD}/dense_2"),
        ("layers\\dense", "layers\\dense_1"),
        (f"{OLD}\\dense", f"{OLD}\\dense_2"),
    ],
)
def test_keras_files_of_keras_2(places, first, tmp_path) -> None:
    groups = {places[0]: [W1, B1], places[1]: [W2, B2]}
    path = keras15(tmp_path / "m.keras", groups, first=first)
    model = check(path)
    fresh = keras.models.clone_model(model)
    fresh.load_weights(path)
    np.testing.assert_allclose(fresh.predict(X, verbose=0), EXPECTED, rtol=1e-5, atol=1e-6)


def test_optimizer_state_in_keras_files_of_keras_2(tmp_path) -> None:
    m, v = slots(1), slots(2)
    state = [np.int64(12)]
    for pair in zip(m, v, strict=True):
        state += pair
    groups = {"layers/dense": [W1, B1], "layers/dense_1": [W2, B2], "optimizer": state}
    model = check(keras15(tmp_path / "m.keras", groups, "Adam"))
    assert int(model.optimizer.iterations.numpy()) == 12
    assert model.loss.reduction == "sum_over_batch_size"
    for kind, values in (("momentum", m), ("velocity", v)):
        for mine, theirs in zip(held(model.optimizer, kind), values, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, EXPECTED, epochs=1, verbose=0)


def test_a_legacy_optimizer_in_a_keras_file_of_keras_2(tmp_path) -> None:
    groups = {"layers/dense": [W1, B1], "layers/dense_1": [W2, B2]}
    path = keras15(tmp_path / "m.keras", groups, "SGD", module="keras.optimizers.legacy", decay=0.5)
    with pytest.warns(UserWarning, match="saved variables"):  # such files hold no state
        model = check(path)
    assert float(model.optimizer.learning_rate) == 0.125
    model.optimizer.iterations.assign(4)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.125 / 3)
