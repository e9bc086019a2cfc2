"""Files of layers inside `.keras` files: vocabularies, and what users' layers write."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import densekit as keras

VOCABULARY = "assets/layers/integer_lookup/vocabulary.txt"
NUMBERS = np.array([[5], [7], [9], [5]])


def model_of(layer: Any) -> Any:
    x = keras.Input((1,), dtype="int32")
    return keras.Model(x, keras.layers.Dense(2)(layer(x)))


def adapted(**arguments: Any) -> Any:
    layer = keras.layers.IntegerLookup(name="integer_lookup", **arguments)
    layer.adapt(NUMBERS)
    return layer


def rewritten(path: Path, change: Any) -> Path:
    """A copy of the file whose config and members `change` has seen."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    target = path.with_name("other.keras")
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target


def as_keras_writes(members: dict[str, bytes]) -> None:
    """Keras has what `adapt` found in the asset alone."""
    config = json.loads(members["config.json"])
    for layer in config["config"]["layers"]:
        if layer["class_name"] in ("IntegerLookup", "StringLookup", "TextVectorization"):
            layer["config"]["vocabulary"] = layer["config"]["idf_weights"] = None
            layer["config"].pop("has_input_vocabulary")
    members["config.json"] = json.dumps(config).encode()


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count", "tf_idf"])
def test_vocabulary_lies_where_keras_looks_for_it(mode: str, tmp_path: Any) -> None:
    model = model_of(adapted(output_mode=mode))
    path = tmp_path / "it.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        assert archive.read(VOCABULARY) == b"-1\n5\n9\n7"
    for one in (path, rewritten(path, as_keras_writes)):
        again = keras.saving.load_model(one)
        np.testing.assert_array_equal(again(NUMBERS), model(NUMBERS))
        again.layers[1].adapt([[3]])  # as before it was saved


def test_a_vocabulary_that_was_given_is_in_the_config_alone(tmp_path: Any) -> None:
    model_of(keras.layers.IntegerLookup(vocabulary=[5], output_mode="one_hot")).save(
        tmp_path / "it.keras"
    )
    with zipfile.ZipFile(tmp_path / "it.keras") as archive:
        assert not [name for name in archive.namelist() if name.startswith("assets")]


def test_folders_hold_assets_too(tmp_path: Any) -> None:
    model = model_of(adapted(output_mode="one_hot"))
    model.save(tmp_path / "it", zipped=False)
    assert (tmp_path / "it" / VOCABULARY).read_text() == "-1\n5\n9\n7"
    again = keras.saving.load_model(tmp_path / "it")
    np.testing.assert_array_equal(again(NUMBERS), model(NUMBERS))


@keras.saving.register_keras_serializable("assets")
class Notes(keras.layers.Layer):
    """Keeps a text and, deeper, a number in files."""

    text = number = None

    def call(self, inputs: Any) -> Any:
        return inputs

    def save_assets(self, dir_path: str) -> None:
        Path(dir_path, "deeper").mkdir()
        Path(dir_path, "text.txt").write_text(self.text or "")
        Path(dir_path, "deeper", "number").write_bytes(b"\x07")

    def load_assets(self, dir_path: str | None) -> None:
        assert dir_path is not None
        self.text = Path(dir_path, "text.txt").read_text()
        self.number = Path(dir_path, "deeper", "number").read_bytes()[0]


def test_layers_of_users_have_files(tmp_path: Any) -> None:
    notes = Notes()
    notes.text = "kept"
    model = keras.Sequential([keras.Input((2,)), notes])
    model.save(tmp_path / "it.keras")
    again = keras.saving.load_model(tmp_path / "it.keras").layers[0]
    assert (again.text, again.number) == ("kept", 7)


@pytest.mark.parametrize(
    "name", ["assets/../../evil", "assets//etc/evil", "assets/c:/evil", "assets/a\\..\\evil"]
)
def test_no_member_leaves_the_folder(name: str, tmp_path: Any) -> None:
    model_of(adapted(output_mode="one_hot")).save(tmp_path / "it.keras")
    path = rewritten(tmp_path / "it.keras", lambda members: members.update({name: b"!"}))
    before = set(tmp_path.parent.rglob("*evil*"))
    if name == "assets//etc/evil":  # the same as assets/etc/evil
        keras.saving.load_model(path)
    else:
        with pytest.raises(ValueError, match="leads elsewhere"):
            keras.saving.load_model(path)
    assert set(tmp_path.parent.rglob("*evil*")) == before


def test_a_failed_save_leaves_the_old_file(tmp_path: Any) -> None:
    class Broken(Notes):
        def save_assets(self, dir_path: str) -> None:
            raise OSError("no room")

    path = tmp_path / "it.keras"
    path.write_text("old")
    with pytest.raises(OSError, match="no room"):
        keras.Sequential([keras.Input((2,)), Broken()]).save(path)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["it.keras"]
