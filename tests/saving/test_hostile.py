"""Files from elsewhere: each attack is refused with an error, and the model stays as it was."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib

import h5py
import numpy as np
import pytest

import densekit as keras

L = keras.layers


def model():
    return keras.Sequential([keras.Input((4,)), L.Dense(3, name="d")])


@pytest.fixture
def weights(tmp_path):
    """A genuine weight file, to be spoilt."""
    path = tmp_path / "w.weights.h5"
    model().save_weights(path)
    return path


KERNEL = "layers/dense/vars/0"


def external_link(file, folder) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["x"] = np.ones((4, 3), "float32")
    del file[KERNEL]
    file[KERNEL] = h5py.ExternalLink(str(folder / "other.h5"), "/x")


def soft_link(file, folder) -> None:
    file["secret"] = np.ones((4, 3), "float32")
    del file[KERNEL]
    file[KERNEL] = h5py.SoftLink("/secret")


def linked_group(file, folder) -> None:
    external_link(file, folder)
    del file["layers"]
    file["layers"] = h5py.ExternalLink(str(folder / "other.h5"), "/")


def external_storage(file, folder) -> None:
    (folder / "raw.bin").write_bytes(bytes(48))
    del file[KERNEL]
    file.create_dataset(KERNEL, (4, 3), "f4", external=[(str(folder / "raw.bin"), 0, 48)])


def virtual(file, folder) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["x"] = np.ones((4, 3), "float32")
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[...] = h5py.VirtualSource(str(folder / "other.h5"), "x", (4, 3))
    del file[KERNEL]
    file.create_virtual_dataset(KERNEL, layout)


def shape_bomb(file, folder) -> None:
    del file[KERNEL]
    file.create_dataset(KERNEL, (1 << 40,), "f4", chunks=(1 << 16,), compression="gzip")


def not_numbers(file, folder) -> None:
    del file[KERNEL]
    file[KERNEL] = ["a", "b"]


def references(file, folder) -> None:
    del file[KERNEL]
    file.create_dataset(KERNEL, (4, 3), h5py.ref_dtype)


def complex_numbers(file, folder) -> None:
    del file[KERNEL]
    file[KERNEL] = np.ones((4, 3), "complex64")


def no_values(file, folder) -> None:
    del file[KERNEL]
    file[KERNEL] = h5py.Empty("f4")


def group_for_array(file, folder) -> None:
    del file[KERNEL]
    file.create_group(KERNEL)


def array_for_group(file, folder) -> None:
    del file["layers/dense"]
    file["layers/dense"] = np.ones(3)


def missing(file, folder) -> None:
    del file["layers/dense"]


def too_many(file, folder) -> None:
    file["layers/dense/vars/2"] = np.ones(3, "float32")


def wrong_shape(file, folder) -> None:
    del file[KERNEL]
    file[KERNEL] = np.ones((3, 4), "float32")


SPOILS = [
    external_link,
    soft_link,
    linked_group,
    external_storage,
    virtual,
    shape_bomb,
    not_numbers,
    references,
    complex_numbers,
    no_values,
    group_for_array,
    array_for_group,
    missing,
    too_many,
    wrong_shape,
]


@pytest.mark.parametrize("spoil", SPOILS)
def test_spoilt_weight_files(spoil, weights, tmp_path) -> None:
    with h5py.File(weights, "a") as file:
        spoil(file, tmp_path)
    target = model()
    before = target.get_weights()
    with pytest.raises(ValueError):
        target.load_weights(weights)
    for a, b in zip(before, target.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_one_bad_layer_keeps_the_good_ones_unread(tmp_path) -> None:
    def two():
        return keras.Sequential([keras.Input((4,)), L.Dense(3), L.Dense(2)])

    two().save_weights(tmp_path / "w.weights.h5")
    with h5py.File(tmp_path / "w.weights.h5", "a") as file:
        del file["layers/dense_1/vars/1"]
    target = two()
    before = target.get_weights()
    with pytest.raises(ValueError, match="expected 2 variables"):
        target.load_weights(tmp_path / "w.weights.h5")
    np.testing.assert_array_equal(before[0], target.get_weights()[0])


@pytest.mark.parametrize("keep", [0, 1, 100, 1000, -1])
def test_truncated_weight_files(keep, weights) -> None:
    data = weights.read_bytes()
    weights.write_bytes(data[:keep] if keep >= 0 else b"\0" * len(data))
    with pytest.raises(ValueError, match="cannot be"):
        model().load_weights(weights)


def zipped(path, compression=zipfile.ZIP_STORED, **members) -> None:
    names = {"config": "config.json", "weights": "model.weights.h5", "metadata": "metadata.json"}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(names.get(name, name), data)


@pytest.fixture
def parts(tmp_path):
    """Config and weights of a genuine model."""
    path = tmp_path / "genuine.keras"
    model().save(path)
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json")), archive.read("model.weights.h5")


def test_a_rezipped_genuine_model_loads(parts, tmp_path) -> None:
    zipped(
        tmp_path / "m.keras", zipfile.ZIP_DEFLATED, config=json.dumps(parts[0]), weights=parts[1]
    )
    assert keras.models.load_model(tmp_path / "m.keras").count_params() == 15


def dense(config):
    return config["config"]["layers"][1]["config"]


def with_units(config):
    dense(config)["units"] = 1 << 40
    return config


def with_build_shape(config):
    config["config"]["layers"][1]["build_config"] = {"input_shape": [None, 1 << 45]}
    config["config"]["build_input_shape"] = None
    del config["config"]["layers"][0]
    return config


def with_lambda(config):
    dense(config)["activation"] = {
        "class_name": "__lambda__",
        "config": {"value": {"code": "4wEAAA==", "defaults": None, "closure": None}},
    }
    return config


def with_module(config):
    config["config"]["layers"][1] |= {"module": "os", "class_name": "system"}
    return config


def with_loader(config):
    dense(config)["activation"] = {
        "module": "keras.saving",
        "class_name": "function",
        "config": "load_model",
        "registered_name": "load_model",
    }
    return config


def with_nothing(config):
    return {}


def with_list(config):
    return [config]


def with_units_of_text(config):
    dense(config)["units"] = "3"
    return config


def with_missing_layers(config):
    del config["config"]["layers"]
    return config


def with_layer_of_none(config):
    config["config"]["layers"][1] = None
    return config


CONFIGS = [
    with_units,
    with_build_shape,
    with_lambda,
    with_module,
    with_loader,
    with_nothing,
    with_list,
    with_units_of_text,
    with_missing_layers,
    with_layer_of_none,
]


@pytest.mark.parametrize("spoil", CONFIGS)
@pytest.mark.parametrize("safe_mode", [True, False])
def test_spoilt_configs(spoil, safe_mode, parts, tmp_path) -> None:
    config, weights = parts
    zipped(tmp_path / "m.keras", config=json.dumps(spoil(config)), weights=weights)
    with pytest.raises((ValueError, TypeError)):
        keras.models.load_model(tmp_path / "m.keras", safe_mode=safe_mode)


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "3", "[" * 100_000, '{"a":' * 3000 + "1" + "}" * 3000, "\x80"],
)
def test_text_that_is_no_config(text, parts, tmp_path) -> None:
    data = text.encode("latin-1")
    zipped(tmp_path / "m.keras", config=data, weights=parts[1])
    with pytest.raises(ValueError, match=r"config.json"):
        keras.models.load_model(tmp_path / "m.keras")
    with pytest.raises(ValueError):
        keras.models.model_from_json(text)


def test_missing_members(parts, tmp_path) -> None:
    for members in ({"config": json.dumps(parts[0])}, {"weights": parts[1]}):
        zipped(tmp_path / "m.keras", **members)
        with pytest.raises(ValueError, match="member"):
            keras.models.load_model(tmp_path / "m.keras")


def test_a_file_that_is_there_but_no_zip(tmp_path) -> None:
    path = tmp_path / "m.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(path)
    for data in (b"", b"text", path.read_bytes()[:-1]):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="no zip file or is cut short"):
            keras.models.load_model(path)


def test_zip_bomb(parts, tmp_path) -> None:
    """A member that claims to unpack to 2 GiB from a few bytes is refused before it is unpacked."""
    path = tmp_path / "m.keras"
    zipped(path, zipfile.ZIP_DEFLATED, config=json.dumps(parts[0]), weights=bytes(1 << 16))
    data = path.read_bytes()
    true, false = struct.pack("<I", 1 << 16), struct.pack("<I", 2 << 30)
    assert data.count(true) >= 2
    path.write_bytes(data.replace(true, false))
    with pytest.raises(ValueError, match="stored ones"):
        keras.models.load_model(path)


def test_config_bomb(tmp_path) -> None:
    path = tmp_path / "m.keras"
    zipped(path, zipfile.ZIP_DEFLATED, config=b" " * (1 << 16), weights=b"")
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", 1 << 16), struct.pack("<I", 300 << 20)))
    with pytest.raises(ValueError, match="stored ones"):
        keras.models.load_model(path)


def test_flipped_bytes_are_noticed(parts, tmp_path) -> None:
    path = tmp_path / "m.keras"
    zipped(path, config=json.dumps(parts[0]), weights=parts[1])
    data = bytearray(path.read_bytes())
    at = data.index(parts[1]) + len(parts[1]) // 2
    data[at] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ValueError, match="cannot be read"):
        keras.models.load_model(path)


def test_damaged_stream_is_noticed(parts, tmp_path) -> None:
    path = tmp_path / "m.keras"
    zipped(path, zipfile.ZIP_DEFLATED, config=json.dumps(parts[0]), weights=parts[1])
    data = path.read_bytes()
    packed = zlib.compress(parts[1])[2:60]
    assert packed[:20] in data
    path.write_bytes(data.replace(packed[:20], bytes(20)))
    with pytest.raises(ValueError):
        keras.models.load_model(path)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"not a zip", bytes(1000)])
def test_files_that_are_no_zip(data, tmp_path) -> None:
    (tmp_path / "m.keras").write_bytes(data)
    with pytest.raises(ValueError):
        keras.models.load_model(tmp_path / "m.keras")


def test_members_that_point_outside_are_never_written(parts, tmp_path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    zipped(
        folder / "m.keras",
        **{
            "config": json.dumps(parts[0]),
            "weights": parts[1],
            "../evil": b"x",
            "assets/../../e": b"x",
        },
    )
    keras.models.load_model(folder / "m.keras")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["genuine.keras", "in", "m.keras"]


def legacy(path, config, **groups) -> None:
    with h5py.File(path, "w") as file:
        if config is not None:
            file.attrs["model_config"] = config if isinstance(config, bytes) else json.dumps(config)
        for name, value in groups.items():
            file[name] = value


@pytest.mark.parametrize(
    "config",
    [
        None,
        b"{",
        b"[]",
        {"class_name": "Sequential"},
        {"class_name": "Nope", "config": {}},
        {"class_name": "Sequential", "config": {"name": "s", "layers": 3}},
        {"class_name": "Sequential", "config": {"name": "s", "layers": [{"class_name": "Dense"}]}},
        {
            "class_name": "Sequential",
            "config": {
                "name": "s",
                "layers": [
                    {
                        "class_name": "Lambda",
                        "config": {"name": "l", "function": ["4wEAAA==", None, None]},
                    }
                ],
            },
        },
    ],
)
def test_spoilt_legacy_models(config, tmp_path) -> None:
    legacy(tmp_path / "m.h5", config)
    with pytest.raises((ValueError, TypeError)):
        keras.models.load_model(tmp_path / "m.h5")


@pytest.mark.parametrize("names", [["../x"], ["d", "d"], [1, 2], ["a" * 10]])
def test_spoilt_legacy_layer_names(names, tmp_path) -> None:
    target = model()
    target.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "a") as file:
        file["model_weights"].attrs["layer_names"] = names
    before = target.get_weights()
    with pytest.raises(ValueError):
        target.load_weights(tmp_path / "m.h5")
    np.testing.assert_array_equal(before[0], target.get_weights()[0])


def test_a_refused_class_is_the_first_thing_said(tmp_path) -> None:
    inner = keras.Sequential([keras.Input((3,)), L.Dense(2, name="d")])
    x = keras.Input((3,))
    config = json.loads(keras.Model(x, inner(x)).to_json().replace('"Dense"', '"Conv2D"'))
    with pytest.raises(TypeError) as caught:
        keras.models.model_from_json(json.dumps(config))
    assert str(caught.value).startswith("deserialize_keras_object: expected a known class")
    assert "Conv2D" in str(caught.value)[:100]
