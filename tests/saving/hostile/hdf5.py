"""Hostile HDF5: links, types, shapes and names in files of weights and in legacy files."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from h5py import h5t

from .configs import KINDS, OUTSIDERS
from .parts import REFUSED, Parts, layer, pack

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
