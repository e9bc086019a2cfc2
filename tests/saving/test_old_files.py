"""Files of Keras 1 and 2, made by hand to the format of each release."""

from __future__ import annotations

import base64
import json

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
    training_of,
    two_layers,
    write_h5,
)

import densekit as keras


def test_sequential_as_a_bare_list(tmp_path) -> None:
    check(write_h5(tmp_path / "m.h5", {"class_name": "Sequential", "config": two_layers()}))


def test_json_of_keras_2(tmp_path) -> None:
    text = json.dumps({"class_name": "Sequential", "config": two_layers(), "keras_version": "2.2"})
    model = keras.models.model_from_json(text)
    model.set_weights([W1, B1, W2, B2])
    np.testing.assert_allclose(model.predict(X, verbose=0), EXPECTED, rtol=1e-5, atol=1e-6)


def test_functional_of_keras_2(tmp_path) -> None:
    entry = {
        "class_name": "InputLayer",
        "config": {
            "batch_input_shape": [None, 3],
            "dtype": "float32",
            "sparse": False,
            "name": "input_1",
        },
        "name": "input_1",
        "inbound_nodes": [],
    }
    first = dense2("dense_1", 4, "relu") | {
        "name": "dense_1",
        "inbound_nodes": [[["input_1", 0, 0, {}]]],
    }
    second = dense2("dense_2", 1) | {
        "name": "dense_2",
        "inbound_nodes": [[["dense_1", 0, 0, {}]]],
    }
    config = {
        "name": "model_1",
        "layers": [second, entry, first],
        "input_layers": [["input_1", 0, 0]],
        "output_layers": [["dense_2", 0, 0]],
    }
    check(write_h5(tmp_path / "m.h5", {"class_name": "Model", "config": config}))


@pytest.mark.parametrize("nested", ["Sequential", "Functional", "Model"])
@pytest.mark.parametrize("first", [1, 0])
def test_nested_models_of_keras_2(nested, first, tmp_path) -> None:
    """Keras 2 counted the making of a nested model as its first call, if its shape was known."""
    entry = {
        "class_name": "InputLayer",
        "config": {"batch_input_shape": [None, 3], "dtype": "float32", "name": "x"},
        "name": "x",
        "inbound_nodes": [],
    }
    inner_layer = {"class_name": "Dense", "config": {"name": "a", "units": 4, "activation": "relu"}}
    if nested == "Sequential":
        inner = {"name": "dense_1", "layers": [inner_layer], "build_input_shape": [None, 3]}
    else:
        inner = {
            "name": "dense_1",
            "layers": [
                entry,
                inner_layer | {"name": "a", "inbound_nodes": [[["x", 0, 0, {}]]]},
            ],
            "input_layers": [["x", 0, 0]],
            "output_layers": [["a", 0, 0]],
        }
    config = {
        "name": "outer",
        "layers": [
            entry,
            {
                "class_name": nested,
                "config": inner,
                "name": "dense_1",
                "inbound_nodes": [[["x", 0, 0, {}]]],
            },
            dense2("dense_2", 1)
            | {"name": "dense_2", "inbound_nodes": [[["dense_1", first, 0, {}]]]},
        ],
        "input_layers": [["x", 0, 0]],
        "output_layers": [["dense_2", 0, 0], ["dense_1", first, 0]],
    }
    path = write_h5(tmp_path / "m.h5", {"class_name": "Functional", "config": config})
    found = keras.models.load_model(path).predict(X, verbose=0)
    np.testing.assert_allclose(found[0], EXPECTED, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], np.maximum(X @ W1 + B1, 0), rtol=1e-5, atol=1e-6)


def test_initializers_with_a_dtype(tmp_path) -> None:
    kinds = [
        ("VarianceScaling", {"scale": 2.0, "mode": "fan_in", "distribution": "normal"}),
        ("GlorotUniform", {"seed": None}),
        ("RandomNormal", {"mean": 0.0, "stddev": 0.05, "seed": None}),
        ("Zeros", {}),
        ("Constant", {"value": 0.5}),
    ]
    for kind, arguments in kinds:
        initializer = {"class_name": kind, "config": {**arguments, "dtype": "float32"}}
        layers = two_layers(kernel_initializer=initializer)
        config = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
        model = check(write_h5(tmp_path / "m.h5", config, version="2.1.6-tf"))
        found = model.layers[0].kernel_initializer
        assert getattr(found, "distribution", None) in (None, "uniform", "truncated_normal")


def test_losses_and_metrics_as_objects(tmp_path) -> None:
    training = {
        "optimizer_config": {"class_name": "Adam", "config": {"name": "Adam", "decay": 0.0}},
        "loss": {
            "class_name": "Huber",
            "config": {"reduction": "auto", "name": "huber_loss", "delta": 0.5},
        },
        "metrics": [
            [
                {
                    "class_name": "MeanMetricWrapper",
                    "config": {"name": "mae", "dtype": "float32", "fn": "mean_absolute_error"},
                }
            ]
        ],
        "weighted_metrics": None,
        "loss_weights": None,
    }
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": two_layers()}}
    model = check(write_h5(tmp_path / "m.h5", config, training, version="2.4.0"))
    assert model.loss.reduction == "sum_over_batch_size"
    logs = model.evaluate(X, EXPECTED + 1, verbose=0, return_dict=True)
    assert logs["mae"] == pytest.approx(1.0, abs=1e-5)
    assert logs["loss"] == pytest.approx(0.5 * (1 - 0.25), abs=1e-5)


def test_names_as_old_files_spell_them(tmp_path) -> None:
    training = training_of("rmsprop", lr=0.25, rho=0.8) | {"loss": "cosine_proximity"}
    config = {"class_name": "Sequential", "config": two_layers()}
    model = check(write_h5(tmp_path / "m.h5", config, training))
    assert type(model.optimizer).__name__ == "RMSprop"
    assert model.optimizer.rho == 0.8
    assert model.evaluate(X, EXPECTED, verbose=0) == pytest.approx(-1, abs=1e-5)


# Keras 1


def dense1(name, units, activation="linear", **more):
    config = {
        "name": name,
        "trainable": True,
        "output_dim": units,
        "init": "glorot_uniform",
        "activation": activation,
        "W_regularizer": None,
        "b_regularizer": None,
        "activity_regularizer": None,
        "W_constraint": None,
        "b_constraint": None,
        "bias": True,
        "input_dim": None,
    }
    return {"class_name": "Dense", "config": config | more}


def test_keras_1(tmp_path) -> None:
    first = dense1(
        "dense_1",
        4,
        "relu",
        batch_input_shape=[None, 3],
        input_dtype="float32",
        input_dim=3,
        W_regularizer={"name": "L1L2Regularizer", "l1": 0.0, "l2": 0.25},
        W_constraint={"name": "MaxNorm", "m": 3, "axis": 0},
    )
    drop = {"class_name": "Dropout", "config": {"p": 0.5, "name": "drop", "trainable": True}}
    noise = {"class_name": "GaussianNoise", "config": {"sigma": 0.1, "name": "n"}}
    config = {"class_name": "Sequential", "config": [first, drop, noise, dense1("dense_2", 1)]}
    training = {
        "optimizer_config": {
            "class_name": "SGD",
            "config": {"lr": 0.5, "momentum": 0.0, "decay": 0.0, "nesterov": False},
        },
        "loss": "mse",
        "metrics": [],
        "sample_weight_mode": None,
        "loss_weights": None,
    }
    model = check(write_h5(tmp_path / "m.h5", config, training, version="1.2.2"))
    first = model.layers[0]
    assert first.kernel_regularizer.l2 == 0.25
    assert first.kernel_constraint.max_value == 3
    assert model.layers[1].rate == 0.5
    assert model.layers[2].stddev == pytest.approx(0.1)
    assert float(model.optimizer.learning_rate.numpy()) == 0.5


@pytest.mark.parametrize(
    ("mode", "join"),
    [
        ("sum", lambda a, b: a + b),
        ("mul", lambda a, b: a * b),
        ("ave", lambda a, b: (a + b) / 2),
        ("max", np.maximum),
    ],
)
def test_merges_of_keras_1(mode, join, tmp_path) -> None:
    def entry(name):
        inner = {"batch_input_shape": [None, 3], "input_dtype": "float32", "sparse": False}
        return {
            "class_name": "InputLayer",
            "config": {**inner, "name": name},
            "name": name,
            "inbound_nodes": [],
        }

    merge = {
        "class_name": "Merge",
        "name": "merge_1",
        "config": {
            "name": "merge_1",
            "mode": mode,
            "mode_type": "raw",
            "concat_axis": -1,
            "dot_axes": -1,
            "output_shape": None,
            "output_shape_type": "raw",
            "output_mask": None,
            "output_mask_type": "raw",
            "arguments": {},
        },
        "inbound_nodes": [[["a", 0, 0], ["b", 0, 0]]],
    }
    config = {
        "name": "model_1",
        "layers": [entry("a"), entry("b"), merge],
        "input_layers": [["a", 0, 0], ["b", 0, 0]],
        "output_layers": [["merge_1", 0, 0]],
    }
    path = write_h5(tmp_path / "m.h5", {"class_name": "Model", "config": config}, layers={})
    model = keras.models.load_model(path)
    found = model.predict([X, 2 * X + 1], verbose=0)
    np.testing.assert_allclose(found, join(X, 2 * X + 1), rtol=1e-6)


# Lambdas


def test_a_lambda_of_keras_2_is_what_custom_objects_say(tmp_path) -> None:
    code = base64.b64encode(b"\xe3\x00code that nobody runs").decode()
    config = {
        "name": "lambda_1",
        "trainable": True,
        "function": [code, None, None],
        "function_type": "lambda",
        "module": "__main__",
        "output_shape": None,
        "output_shape_type": "raw",
        "output_shape_module": None,
        "arguments": {},
    }
    layers = [*two_layers(), {"class_name": "Lambda", "config": config}]
    path = write_h5(
        tmp_path / "m.h5", {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    )
    with pytest.raises(ValueError, match="lambda"):
        keras.models.load_model(path)
    model = keras.models.load_model(path, custom_objects={"<lambda>": lambda x: 2 * x})
    np.testing.assert_allclose(model.predict(X, verbose=0), 2 * EXPECTED, rtol=1e-5, atol=1e-6)


def test_a_named_function_of_keras_2(tmp_path) -> None:
    config = {
        "name": "lambda_1",
        "function": "halve",
        "function_type": "function",
        "module": "models",
        "output_shape": [1],
        "output_shape_type": "raw",
        "arguments": {"by": 4.0},
    }
    layers = [*two_layers(), {"class_name": "Lambda", "config": config}]
    path = write_h5(
        tmp_path / "m.h5", {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    )
    model = keras.models.load_model(path, custom_objects={"halve": lambda x, by: x / by})
    np.testing.assert_allclose(model.predict(X, verbose=0), EXPECTED / 4, rtol=1e-5, atol=1e-6)
