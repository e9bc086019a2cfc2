"""A generator of hostile files, and the process that opens them under limits.

``cases(folder)`` writes files made from genuine ones: systematic changes of configs, of HDF5
structure and types, of zip structure, and of bytes. Run as a script with a folder it opens each of
them and prints what happened, one JSON line a file.
"""

from __future__ import annotations

import copy
import json
import random
import resource
import shutil
import struct
import sys
import time
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from h5py import h5t

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


# Configs

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


def _dense(config):
    return layer(config, "hidden")["config"]


# Slot: where to put something, the kind that belongs there.
SLOTS = {
    "activation": (lambda c, v: _dense(c).update(activation=v), ("activation", "layer")),
    "kernel_initializer": (lambda c, v: _dense(c).update(kernel_initializer=v), ("initializer",)),
    "bias_initializer": (lambda c, v: _dense(c).update(bias_initializer=v), ("initializer",)),
    "kernel_regularizer": (lambda c, v: _dense(c).update(kernel_regularizer=v), ("regularizer",)),
    "activity_regularizer": (
        lambda c, v: _dense(c).update(activity_regularizer=v),
        ("regularizer",),
    ),
    "kernel_constraint": (lambda c, v: _dense(c).update(kernel_constraint=v), ("constraint",)),
    "dtype": (lambda c, v: _dense(c).update(dtype=v), ("policy",)),
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
        _dense(config)["units"] = 1 << 40

    def many_units(config):
        _dense(config)["units"] = 30_000_000

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
        _dense(config)["kernel_initializer"] = {
            "class_name": "__numpy__",
            "config": {"value": [[0.0]], "dtype": "V1000000000"},
        }

    def other_output(config):
        _dense(config)["units"] = 5

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


# HDF5

KERNEL = "layers/dense/vars/0"


def _replaced(file, name, shape, kind, **more):
    del file[name]
    space = h5py.h5s.create_simple(shape)
    identifier = h5py.h5d.create(file.id, name.encode(), kind, space)
    identifier.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ones(shape, "f4"))


def _float(**changes):
    kind = h5t.IEEE_F32LE.copy()
    if "bias" in changes:
        kind.set_ebias(changes["bias"])
    if "fields" in changes:
        kind.set_fields(*changes["fields"])
    if "precision" in changes:
        kind.set_precision(changes["precision"])
    if "norm" in changes:
        kind.set_norm(changes["norm"])
    return kind


def _integer(**changes):
    kind = h5t.STD_I32LE.copy()
    kind.set_precision(changes.get("precision", 32))
    kind.set_offset(changes.get("offset", 0))
    return kind


FLOATS = {
    "bias": lambda: _float(bias=126),
    "bias-high": lambda: _float(bias=255),
    "mantissa": lambda: _float(fields=(31, 23, 8, 1, 22)),
    "exponent": lambda: _float(fields=(31, 24, 7, 0, 23)),
    "sign": lambda: _float(fields=(22, 23, 8, 0, 22)),
    "norm": lambda: _float(norm=h5t.NORM_MSBSET),
    "short-integer": lambda: _integer(precision=24),
    "shifted-integer": lambda: _integer(precision=16, offset=8),
}


def spoil_h5(folder: Path) -> dict[str, object]:
    other = folder / "other.h5"
    with h5py.File(other, "w") as file:
        file["x"] = np.ones((4, 3), "float32")
    raw = folder / "raw.bin"
    raw.write_bytes(bytes(48))

    def external_link(file):
        del file[KERNEL]
        file[KERNEL] = h5py.ExternalLink(str(other), "/x")

    def soft_link(file):
        file["secret"] = np.ones((4, 3), "float32")
        del file[KERNEL]
        file[KERNEL] = h5py.SoftLink("/secret")

    def external_storage(file):
        del file[KERNEL]
        file.create_dataset(KERNEL, (4, 3), "f4", external=[(str(raw), 0, 48)])

    def virtual(file):
        layout = h5py.VirtualLayout((4, 3), "f4")
        layout[...] = h5py.VirtualSource(str(other), "x", (4, 3))
        del file[KERNEL]
        file.create_virtual_dataset(KERNEL, layout)

    def linked_group(file):
        del file["layers"]
        file["layers"] = h5py.ExternalLink(str(other), "/")

    def cyclic(file):
        del file["layers/dense"]
        file["layers/dense"] = file["layers"]

    def shape_bomb(file):
        del file[KERNEL]
        file.create_dataset(KERNEL, (1 << 40,), "f4", chunks=(1 << 16,), compression="gzip")

    def zeros_bomb(file):
        del file[KERNEL]
        file.create_dataset(
            KERNEL, data=np.zeros(1 << 26, "i1"), chunks=(1 << 20,), compression="gzip"
        )

    def named_often(file):
        data = file.create_dataset(
            "big", data=np.zeros(1 << 26, "i1"), chunks=(1 << 20,), compression="gzip"
        )
        del file["layers/dense/vars"]
        group = file.create_group("layers/dense/vars")
        for i in range(200):
            group[str(i)] = data

    def kind(value):
        def change(file):
            del file[KERNEL]
            file[KERNEL] = value

        return change

    def typed(name):
        return lambda file: _replaced(file, KERNEL, (4, 3), FLOATS[name]())

    def marked(file):
        del file[KERNEL]
        file.create_dataset(KERNEL, data=np.ones((4, 3), "f2")).attrs["dtype"] = "bfloat16"
        del file["layers/dense/vars/1"]
        raw = np.zeros(3, "V2")
        file.create_dataset("layers/dense/vars/1", data=raw).attrs["dtype"] = "float16"

    def without(name):
        def change(file):
            del file[name]

        return change

    def many_members(file):
        for i in range(20_000):
            file["layers/dense/vars"].create_group(f"x{i}")

    changes = {
        **{f"float-{name}": typed(name) for name in FLOATS},
        "external-link": external_link,
        "soft-link": soft_link,
        "external-storage": external_storage,
        "virtual": virtual,
        "linked-group": linked_group,
        "cyclic": cyclic,
        "shape-bomb": shape_bomb,
        "zeros-bomb": zeros_bomb,
        "named-often": named_often,
        "text": kind(["a", "b"]),
        "complex": kind(np.ones((4, 3), "complex64")),
        "long-double": kind(np.ones((4, 3), "longdouble")),
        "compound": kind(np.zeros((4, 3), [("a", "f4")])),
        "opaque": kind(np.zeros((4, 3), "V4")),
        "times": kind(np.zeros((4, 3), "i8").astype(h5py.opaque_dtype(np.dtype("M8[s]")))),
        "marked": marked,
        "empty": kind(h5py.Empty("f4")),
        "scalar": kind(np.float32(1)),
        "transposed": kind(np.ones((3, 4), "f4")),
        "wide": kind(np.ones((4, 3, 1), "f4")),
        "group": lambda file: (file.__delitem__(KERNEL), file.create_group(KERNEL)),
        "missing-array": without(KERNEL),
        "missing-layer": without("layers/dense_1"),
        "missing-all": without("layers"),
        "many-members": many_members,
    }
    return changes


def h5_cases(parts: Parts, folder: Path) -> Iterator[tuple[str, str, Path]]:
    for name, change in spoil_h5(folder).items():
        weights = folder / "spoilt.weights.h5"
        weights.write_bytes(parts.weights)
        with h5py.File(weights, "a") as file:
            change(file)
        path = folder / f"h5-{name}.keras"
        pack(path, parts.config, weights.read_bytes())
        yield path.name, REFUSED, path
        shutil.copy(weights, folder / f"h5-{name}.weights.h5")
        yield f"h5-{name}.weights.h5", REFUSED, folder / f"h5-{name}.weights.h5"


def legacy_cases(parts: Parts, folder: Path) -> Iterator[tuple[str, str, Path]]:
    def spoilt(name, change):
        path = folder / f"legacy-{name}.h5"
        path.write_bytes(parts.h5)
        with h5py.File(path, "a") as file:
            change(file)
        return path.name, REFUSED, path

    def attribute(name, value, where="/"):
        def change(file):
            file[where].attrs[name] = value

        return change

    def config(change):
        def write(file):
            spoilt_config = copy.deepcopy(parts.h5_config)
            change(spoilt_config)
            file.attrs["model_config"] = json.dumps(spoilt_config).encode()

        return write

    def training(**changes):
        def change(file):
            file.attrs["training_config"] = json.dumps(parts.h5_training | changes)
            del file.attrs["compile_config"]

        return change

    def empty_chunks(file):
        group = file["model_weights"]
        del group.attrs["layer_names"]
        for i in range(1000):
            group.attrs[f"layer_names{i}"] = np.zeros(0, "S1")

    def names_of(count, name):
        def change(file):
            group = file["model_weights"]
            del group.attrs["layer_names"]
            data = np.array([name.format(i).encode() for i in range(count)])
            for i, part in enumerate(np.array_split(data, -(-data.nbytes // 60_000))):
                group.attrs[f"layer_names{i}"] = part

        return change

    hidden, out = "model_weights/hidden", "model_weights/out"
    often = [b"hidden/kernel"] * 100
    yield spoilt("no-config", lambda file: file.attrs.__delitem__("model_config"))
    for i, value in enumerate([b"{", b"[]", b"3", b"\xff", np.arange(3), 2.5, h5py.Empty("f4")]):
        yield spoilt(f"config-{i}", attribute("model_config", value))
        if i not in (6,):
            yield spoilt(f"training-{i}", attribute("training_config", value))
    yield spoilt("optimizer", training(optimizer_config=OUTSIDERS["loader"]))
    yield spoilt("optimizer-layer", training(optimizer_config=KINDS["layer"]))
    yield spoilt("optimizer-list", training(optimizer_config=[1]))
    yield spoilt("loss", training(loss=OUTSIDERS["loader"]))
    yield spoilt("names-twice", attribute("weight_names", often, hidden))
    yield spoilt("layers-twice", attribute("layer_names", [b"hidden", b"hidden"], "model_weights"))
    yield spoilt("layer-up", attribute("layer_names", [b"../hidden", b"out"], "model_weights"))
    yield spoilt("layer-numbers", attribute("layer_names", [1, 2], "model_weights"))
    yield spoilt("names-empty", attribute("weight_names", h5py.Empty("S1"), hidden))
    yield spoilt("names-floats", attribute("weight_names", np.ones(2), hidden))
    yield spoilt("names-absent", attribute("weight_names", [b"a", b"b"], hidden))
    yield spoilt("names-swapped", attribute("weight_names", [b"bias", b"kernel"], out))
    yield spoilt("names-many", names_of(200_000, "x{}"))
    yield spoilt("names-many-same", names_of(200_000, "hidden"))
    yield spoilt("names-in-empty-chunks", empty_chunks)
    yield spoilt("state-twice", attribute("weight_names", [b"a"] * 9, "optimizer_weights"))
    yield spoilt("state-absent", attribute("weight_names", [b"a", b"b"], "optimizer_weights"))
    yield spoilt("no-layer", lambda file: file[hidden.rpartition("/")[0]].__delitem__("hidden"))
    yield spoilt("layer-array", lambda file: (file.__delitem__(out), file.__setitem__(out, [1.0])))
    yield spoilt("units", config(lambda c: layer(c, "hidden")["config"].update(units=1 << 40)))
    yield spoilt("loader", config(lambda c: layer(c, "hidden").update(OUTSIDERS["loader"])))
    yield spoilt("class", config(lambda c: c.update(class_name="nobody")))
    yield spoilt("list", config(lambda c: c.update(config=[1, 2])))


# Zip and bytes


def zip_cases(parts: Parts, folder: Path) -> Iterator[tuple[str, str, Path]]:
    def made(name, write):
        path = folder / f"zip-{name}.keras"
        with zipfile.ZipFile(path, "w") as archive:
            write(archive)
        return path.name, REFUSED, path

    config = json.dumps(parts.config)

    def both(archive):
        archive.writestr(CONFIG, config)
        archive.writestr(WEIGHTS, parts.weights)

    def twice(name):
        def write(archive):
            both(archive)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                archive.writestr(name, b"{}")

        return write

    def squeezed(compression):
        def write(archive):
            archive.writestr(CONFIG, config)
            archive.writestr(WEIGHTS, bytes(200 << 20), compression)

        return write

    yield made("empty", lambda archive: None)
    yield made("no-weights", lambda archive: archive.writestr(CONFIG, config))
    yield made("no-config", lambda archive: archive.writestr(WEIGHTS, parts.weights))
    yield made("config-twice", twice(CONFIG))
    yield made("weights-twice", twice(WEIGHTS))
    yield made("bzip2", squeezed(zipfile.ZIP_BZIP2))
    yield made("lzma", squeezed(zipfile.ZIP_LZMA))
    yield made("deflate", squeezed(zipfile.ZIP_DEFLATED))
    lying = folder / "zip-lying.keras"
    pack(lying, config, bytes(1 << 16), zipfile.ZIP_DEFLATED)
    true, false = struct.pack("<I", 1 << 16), struct.pack("<I", 2 << 30)
    lying.write_bytes(lying.read_bytes().replace(true, false))
    yield lying.name, REFUSED, lying


def byte_cases(parts: Parts, folder: Path) -> Iterator[tuple[str, str, Path]]:
    rng = random.Random(1)
    genuine_bytes = {".keras": parts.keras, ".h5": parts.h5, ".weights.h5": parts.weights}
    for suffix, data in genuine_bytes.items():
        for number in range(60):
            spoilt = bytearray(data)
            for _ in range(rng.choice((1, 1, 4, 16))):
                # The first bytes describe the structure: half of the flips go there.
                end = len(data) if rng.random() < 0.5 else min(len(data), 4096)
                spoilt[rng.randrange(end)] ^= 1 << rng.randrange(8)
            path = folder / f"flip-{number}{suffix}"
            path.write_bytes(spoilt)
            yield path.name, EITHER, path
        for number, keep in enumerate((0, 1, 7, 100, 512, 2048, len(data) // 2, len(data) - 1)):
            path = folder / f"cut-{number}{suffix}"
            path.write_bytes(data[:keep])
            yield path.name, EITHER if keep == len(data) - 1 else REFUSED, path


GENERATORS = (
    slot_cases,
    config_cases,
    bomb_cases,
    h5_cases,
    legacy_cases,
    zip_cases,
    byte_cases,
)


def cases(folder: Path) -> list[tuple[str, str, str]]:
    """Write all files; ``(name, what must happen, path)`` of each."""
    parts = Parts(folder)
    return [
        (name, wanted, str(path))
        for generate in GENERATORS
        for name, wanted, path in generate(parts, folder)
    ]


def resident() -> int:
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


def open_all(folder: Path, limit: int) -> None:
    """Open each file in this process, which may ask for `limit` bytes more than it has."""
    warnings.simplefilter("ignore")
    target = genuine()
    keras.models.load_model(folder / "good.keras")
    keras.models.load_model(folder / "good.h5")
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + limit, size + limit))
    for name, wanted, path in json.loads((folder / "cases.json").read_text()):
        start, before = time.process_time(), target.get_weights()
        peak = resident()
        try:
            if path.endswith(".weights.h5"):
                target.load_weights(path)
            else:
                keras.models.load_model(path)
            outcome, text = "loaded", ""
        except BaseException as error:
            outcome, text = type(error).__name__, str(error)[:300]
            if path.endswith(".weights.h5"):
                after = target.get_weights()
                same = all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
                outcome = outcome if same else f"{outcome} and changed weights"
        seconds = time.process_time() - start
        if path.endswith(".weights.h5"):
            target.set_weights(before)
        row = {"name": name, "wanted": wanted, "outcome": outcome, "text": text}
        print(json.dumps(row | {"seconds": seconds, "grown": resident() - peak}), flush=True)


if __name__ == "__main__":
    open_all(Path(sys.argv[1]), int(sys.argv[2]))
