"""Files of Keras 1 and 2, made by hand to the format of each release."""

from __future__ import annotations

import base64
import io
import json
import warnings
import zipfile

import h5py
import numpy as np
import pytest

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


# Optimizers

SHAPES = [W1.shape, B1.shape, W2.shape, B2.shape]
PATHS = ["dense_1/kernel", "dense_1/bias", "dense_2/kernel", "dense_2/bias"]


def slot(seed, shape):
    return np.random.default_rng(seed).uniform(0.1, 1, size=shape).astype("f4")


def slots(kind):
    return [slot(kind * 10 + i, shape) for i, shape in enumerate(SHAPES)]


def training_of(name, **arguments):
    return {
        "optimizer_config": {"class_name": name, "config": arguments},
        "loss": "mse",
        "metrics": [],
        "weighted_metrics": None,
        "loss_weights": None,
    }


def loaded(path, training, state, version):
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": two_layers()}}
    write_h5(path / "m.h5", config, training, state, version)
    return keras.models.load_model(path / "m.h5").optimizer


def held(optimizer, kind):
    ends = [v for v in optimizer.variables if v.name.endswith(f"_{kind}")]
    return [v.numpy() for v in ends]


# Class, its slots here, and of each slot the name in Keras 2.11 and in Keras 2.4.
CLASSES = [
    ("Adam", ("momentum", "velocity"), ("m", "v"), ("m", "v")),
    ("Adamax", ("momentum", "norm"), ("m", "u"), ("m", "v")),
    (
        "Adadelta",
        ("accumulated_grad", "accumulated_delta_var"),
        ("accumulated_grad", "accumulated_delta_var"),
        ("accum_grad", "accum_var"),
    ),
    ("Adagrad", ("accumulator",), ("accumulator",), ("accumulator",)),
    ("RMSprop", ("velocity",), ("velocity",), ("rms",)),
    ("Ftrl", ("accumulator", "linear"), ("accumulator", "linear"), ("accumulator", "linear")),
]


@pytest.mark.parametrize(("name", "kinds", "new", "old"), CLASSES)
def test_optimizer_state_of_keras_2_11_to_2_15(name, kinds, new, old, tmp_path) -> None:
    values = [slots(k + 1) for k in range(len(kinds))]
    state = [("iteration:0", np.int64(77))]
    for i, path in enumerate(PATHS):
        state += [(f"{name}/{kind}/{path}:0", values[k][i]) for k, kind in enumerate(new)]
    training = training_of(
        name, learning_rate=0.125, jit_compile=True, is_legacy_optimizer=False, weight_decay=None
    )
    optimizer = loaded(tmp_path, training, state, "2.12.0")
    assert int(optimizer.iterations.numpy()) == 77
    assert float(optimizer.learning_rate.numpy()) == 0.125
    for k, kind in enumerate(kinds):
        for mine, theirs in zip(held(optimizer, kind), values[k], strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(("name", "kinds", "new", "old"), CLASSES)
def test_optimizer_state_of_keras_2_4(name, kinds, new, old, tmp_path) -> None:
    values = [slots(k + 1) for k in range(len(kinds))]
    state = [(f"{name}/iter:0", np.int64(77))]
    pairs = [(k, i) for k in range(len(kinds)) for i in range(4)]
    if name == "Ftrl":
        pairs = [(k, i) for i in range(4) for k in range(len(kinds))]
    state += [(f"{name}/{PATHS[i]}/{old[k]}:0", values[k][i]) for k, i in pairs]
    optimizer = loaded(tmp_path, training_of(name, learning_rate=0.125), state, "2.4.0")
    assert int(optimizer.iterations.numpy()) == 77
    for k, kind in enumerate(kinds):
        for mine, theirs in zip(held(optimizer, kind), values[k], strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_optimizer_state_of_keras_2_2(tmp_path) -> None:
    """Adam kept one zero for each weight in place of the third slot; RMSprop kept no count."""
    m, v = slots(1), slots(2)
    arrays = [np.int64(9), *m, *v, *(np.zeros(1, "f4") for _ in m)]
    state = [(f"training/Adam/Variable_{i}:0", a) for i, a in enumerate(arrays)]
    arguments = {"lr": 0.25, "beta_1": 0.9, "beta_2": 0.999, "decay": 0.0, "epsilon": None}
    optimizer = loaded(tmp_path, training_of("Adam", amsgrad=False, **arguments), state, "2.2.2")
    assert int(optimizer.iterations.numpy()) == 9
    for kind, values in (("momentum", m), ("velocity", v)):
        for mine, theirs in zip(held(optimizer, kind), values, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    state = [(f"training/RMSprop/Variable_{i}:0", a) for i, a in enumerate(m)]
    optimizer = loaded(tmp_path, training_of("RMSprop", lr=0.25, rho=0.9), state, "2.2.2")
    for mine, theirs in zip(held(optimizer, "velocity"), m, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_momentum_that_is_not_used_is_passed_over(tmp_path) -> None:
    state = [("iteration:0", np.int64(5))]
    state += [(f"SGD/m/{path}:0", np.zeros(s, "f4")) for path, s in zip(PATHS, SHAPES, strict=True)]
    optimizer = loaded(tmp_path, training_of("SGD", learning_rate=0.5, momentum=0.0), state, "2.15")
    assert int(optimizer.iterations.numpy()) == 5


def test_the_product_of_nadam_follows_from_the_steps(tmp_path) -> None:
    state = [("iteration:0", np.int64(3))]
    for i, path in enumerate(PATHS):
        state += [(f"Nadam/{k}/{path}:0", slot(i, SHAPES[i])) for k in ("m", "v")]
    optimizer = loaded(tmp_path, training_of("Nadam", learning_rate=0.5), state, "2.13.1")
    u = [0.9 * (1 - 0.5 * 0.96**t) for t in (1, 2, 3)]
    assert float(optimizer.native_product().numpy()) == pytest.approx(np.prod(u), rel=1e-6)


def test_state_of_another_optimizer_is_said(tmp_path) -> None:
    state = [("iteration:0", np.int64(3)), ("SGD/m/x:0", np.zeros((7, 7), "f4"))]
    with pytest.warns(UserWarning, match="starts afresh"):
        loaded(tmp_path, training_of("SGD", learning_rate=0.5), state, "2.13.1")


def test_decay_becomes_a_schedule(tmp_path) -> None:
    state = [("SGD/iter:0", np.int64(10))]
    optimizer = loaded(tmp_path, training_of("SGD", lr=0.5, decay=0.25), state, "2.2.2")
    assert float(optimizer.learning_rate) == pytest.approx(0.5 / (1 + 0.25 * 10))


def test_the_old_schedule_of_nadam_is_said(tmp_path) -> None:
    training = training_of("Nadam", lr=0.5, schedule_decay=0.004)
    with pytest.warns(UserWarning, match="Nadam"):
        loaded(tmp_path, training, None, "2.2.2")


def test_clipnorm_of_keras_2_3_bounded_all_gradients_together(tmp_path) -> None:
    for version, together in (("2.3.1", 1.5), ("2.2.4-tf", None), ("2.4.0", None)):
        optimizer = loaded(tmp_path, training_of("SGD", lr=0.5, clipnorm=1.5), None, version)
        assert optimizer.global_clipnorm == together
        assert optimizer.clipnorm == (None if together else 1.5)


# The `.keras` format of Keras 2.12 to 2.15


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
