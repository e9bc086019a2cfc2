"""Hostile configs: wrong components and values in every place, and requests for terabytes."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from pathlib import Path

from .parts import EITHER, REFUSED, Parts, dense, layer, pack

OUTSIDERS = {
    "loader": {"module": "keras.saving", "class_name": "load_model", "config": {}},
    "saver": {"module": "keras.saving", "class_name": "save_model", "config": {}},
    "loader_function": {
        "module": "keras.saving",
        "class_name": "function",
        "config": "load_model",
        "registered_name": "load_model",
    },
    "json": {"module": "keras.models", "class_name": "model_from_json", "config": {}},
    "system": {"module": "os", "class_name": "system", "config": "true"},
    "eval": {"module": "builtins", "class_name": "eval", "config": "1"},
    "eval_function": {"module": "builtins", "class_name": "function", "config": "eval"},
    "callback": {
        "module": "keras.callbacks",
        "class_name": "CSVLogger",
        "config": {"filename": "x"},
    },
    "backup": {
        "module": "keras.callbacks",
        "class_name": "BackupAndRestore",
        "config": {"backup_dir": "x"},
    },
    "deserialize": {"module": "keras.layers", "class_name": "deserialize", "config": {}},
    "seed_all": {"module": "keras.utils", "class_name": "set_random_seed", "config": {"seed": 1}},
    "while": {"module": "keras.ops", "class_name": "function", "config": "while_loop"},
    "lambda": {"class_name": "__lambda__", "config": {"value": ["4wEAAA==", None, None]}},
    "number": 7,
    "list": [1, 2],
    "empty": {},
    "unknown_name": "no_such_component",
    "private": {"module": "keras.src.saving.saving_api", "class_name": "load_model", "config": {}},
}
KINDS = {
    "activation": {"module": "keras.activations", "class_name": "function", "config": "relu"},
    "initializer": {"module": "keras.initializers", "class_name": "Zeros", "config": {}},
    "regularizer": {"module": "keras.regularizers", "class_name": "L2", "config": {"l2": 0.1}},
    "constraint": {"module": "keras.constraints", "class_name": "NonNeg", "config": {}},
    "loss": {"module": "keras.losses", "class_name": "Huber", "config": {}},
    "metric": {"module": "keras.metrics", "class_name": "Mean", "config": {}},
    "optimizer": {"module": "keras.optimizers", "class_name": "SGD", "config": {}},
    "schedule": {
        "module": "keras.optimizers.schedules",
        "class_name": "ExponentialDecay",
        "config": {"initial_learning_rate": 1.0, "decay_steps": 2, "decay_rate": 0.5},
    },
    "layer": {"module": "keras.layers", "class_name": "Flatten", "config": {}},
    "policy": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}},
}


# Slot: where to put something, the kind that belongs there.
SLOTS = {
    "activation": (lambda c, v: dense(c).update(activation=v), ("activation", "layer")),
    "kernel_initializer": (lambda c, v: dense(c).update(kernel_initializer=v), ("initializer",)),
    "bias_initializer": (lambda c, v: dense(c).update(bias_initializer=v), ("initializer",)),
    "kernel_regularizer": (lambda c, v: dense(c).update(kernel_regularizer=v), ("regularizer",)),
    "activity_regularizer": (
        lambda c, v: dense(c).update(activity_regularizer=v),
        ("regularizer",),
    ),
    "kernel_constraint": (lambda c, v: dense(c).update(kernel_constraint=v), ("constraint",)),
    "dtype": (lambda c, v: dense(c).update(dtype=v), ("policy",)),
    "optimizer": (lambda c, v: c["compile_config"].update(optimizer=v), ("optimizer",)),
    "learning_rate": (
        lambda c, v: c["compile_config"]["optimizer"]["config"].update(learning_rate=v),
        ("schedule", "number"),
    ),
    "loss": (lambda c, v: c["compile_config"].update(loss=v), ("loss", "unknown_name", "empty")),
    "metric": (
        lambda c, v: c["compile_config"].update(metrics=[v]),
        ("metric", "loss", "unknown_name", "empty"),
    ),
    "layer": (lambda c, v: c["config"]["layers"].__setitem__(1, v), ()),
}


def slot_cases(parts: Parts, folder: Path) -> Iterator[tuple[str, str, Path]]:
    for slot, (put, kinds) in SLOTS.items():
        for name, value in (OUTSIDERS | KINDS).items():
            if name in kinds:
                continue
            config = copy.deepcopy(parts.config)
            put(config, copy.deepcopy(value))
            path = folder / f"slot-{slot}-{name}.keras"
            pack(path, config, parts.weights)
            yield path.name, REFUSED, path


def _places(value, path=()):
    yield path
    if isinstance(value, dict):
        items = value.items()
    else:
        items = enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, (*path, key))


def _put(config, path, value):
    for key in path[:-1]:
        config = config[key]
    config[path[-1]] = value


WRONG = [
    *(None, True, 0, -1, 1 << 62, 1e308, float("nan"), "x", "../x"),
    *([], [[]], {}, {"class_name": "x"}),
]


def config_cases(parts: Parts, folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Any value of a config replaced by any other, drawn at random; keys left out."""
    rng = random.Random(0)
    places = [place for place in _places(parts.config) if place]
    for number in range(240):
        config = copy.deepcopy(parts.config)
        for _ in range(rng.choice((1, 1, 1, 2))):
            try:
                _put(config, rng.choice(places), copy.deepcopy(rng.choice(WRONG)))
            except (TypeError, KeyError, IndexError):  # spoilt above it already
                continue
        path = folder / f"config-{number}.keras"
        pack(path, config, parts.weights)
        yield path.name, EITHER, path


def bomb_configs(parts: Parts) -> Iterator[tuple[str, object]]:
    def spoilt(change):
        config = copy.deepcopy(parts.config)
        changed = change(config)
        return config if changed is None else changed

    def units(config):
        dense(config)["units"] = 1 << 40

    def many_units(config):
        dense(config)["units"] = 30_000_000

    def thresholds(config):
        config["compile_config"]["metrics"][1]["config"]["num_thresholds"] = 10**8

    def thresholds_at(config):
        config["compile_config"]["metrics"][1] = {
            "module": "keras.metrics",
            "class_name": "PrecisionAtRecall",
            "config": {"recall": 0.5, "num_thresholds": 10**9},
        }

    def op(name, **arguments):
        def change(config):
            function = {"module": "keras.ops", "class_name": "function", "config": name}
            found = layer(config, "drop")
            found |= {"module": "keras.layers", "class_name": "Lambda"}
            found["config"] = {"name": "drop", "function": function, "arguments": arguments}

        return change

    def node(module, name, **settings):
        def change(config):
            found = layer(config, "drop")
            found |= {"module": f"keras.src.ops.{module}", "class_name": name}
            found["config"] = {"name": "drop", **settings}
            found["inbound_nodes"][0]["kwargs"] = {}

        return change

    def input_shape(config):
        layer(config, "x")["config"]["batch_shape"] = [None, 1 << 40]

    def deep(config):
        inner = {"class_name": "x", "config": {}}
        for _ in range(150):
            inner = {"class_name": "Sequential", "config": {"name": "s", "layers": [inner]}}
        return inner

    def cycle(config):
        node = layer(config, "hidden")["inbound_nodes"][0]["args"][0]["config"]
        node["keras_history"] = ["out", 0, 0]

    def itself(config):
        node = layer(config, "hidden")["inbound_nodes"][0]["args"][0]["config"]
        node["keras_history"] = ["hidden", 0, 0]

    def absent(config):
        config["config"]["output_layers"] = [["nobody", 0, 0]]

    def far(config):
        config["config"]["output_layers"] = [["out", 10**9, 0]]

    def huge_array(config):
        dense(config)["kernel_initializer"] = {
            "class_name": "__numpy__",
            "config": {"value": [[0.0]], "dtype": "V1000000000"},
        }

    def other_output(config):
        dense(config)["units"] = 5

    yield "units", spoilt(units)
    yield "many-units", spoilt(many_units)
    yield "thresholds", spoilt(thresholds)
    yield "thresholds-at", spoilt(thresholds_at)
    yield "lambda-repeat", spoilt(op("repeat", repeats=10**9))
    yield "lambda-tile", spoilt(op("tile", repeats=[1, 10**9]))
    yield "lambda-one-hot", spoilt(op("one_hot", num_classes=10**9))
    yield "lambda-pad", spoilt(op("pad", pad_width=[[0, 0], [0, 10**9]]))
    yield "lambda-broadcast", spoilt(op("broadcast_to", shape=[10**5, 10**5, 3]))
    yield "lambda-loop", spoilt(op("while_loop", cond="x", body="x"))
    yield "node-repeat", spoilt(node("numpy", "Repeat", repeats=10**9, axis=None))
    yield "node-tile", spoilt(node("numpy", "Tile", repeats=[1, 10**9]))
    yield "node-one-hot", spoilt(node("nn", "OneHot", num_classes=10**9, axis=-1))
    yield "node-pad", spoilt(node("numpy", "Pad", pad_width=[[0, 0], [0, 10**9]]))
    yield "input-shape", spoilt(input_shape)
    yield "deep", spoilt(deep)
    yield "deeper", '{"class_name":"x","config":' * 5000 + "1" + "}" * 5000
    yield "brackets", "[" * 200_000
    yield "cycle", spoilt(cycle)
    yield "itself", spoilt(itself)
    yield "absent", spoilt(absent)
    yield "far", spoilt(far)
    yield "huge-dtype", spoilt(huge_array)
    yield "other-output", spoilt(other_output)
    yield "bare-list", [1]
    yield "text", "no json"
    yield "bytes", b"\xff\xfe\x00"
    yield "number", "3"
    yield "huge-number", "1" * 6000
    yield "nan", "NaN"


def bomb_cases(parts: Parts, folder: Path) -> Iterator[tuple[str, str, Path]]:
    for name, config in bomb_configs(parts):
        path = folder / f"bomb-{name}.keras"
        pack(path, config, parts.weights)
        yield path.name, REFUSED, path
