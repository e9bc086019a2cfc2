"""The editor of weight files: what it shows, finds different, changes, writes, refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import densekit as keras
from densekit.saving import KerasFileEditor


def model(*units: int, inner: bool = False) -> Any:
    x = keras.Input((2,))
    y = x
    for width in units:
        y = keras.layers.Dense(width)(y)
    if inner:
        y = keras.Sequential([keras.Input((units[-1],)), keras.layers.Dense(1)])(y)
    return keras.Model(x, y)


@pytest.fixture
def editor(tmp_path: Path) -> KerasFileEditor:
    model(3, 3, inner=True).save(tmp_path / "m.keras")
    return KerasFileEditor(tmp_path / "m.keras")


def test_summary_shows_what_is_inside(
    editor: KerasFileEditor, capsys: pytest.CaptureFixture[str]
) -> None:
    editor.summary()
    lines = capsys.readouterr().out.splitlines()
    assert any("0: shape=(2, 3), dtype=float32" in line for line in lines)
    assert any("sequential" in line for line in lines), "objects inside objects too"


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_what_was_saved_compares_equal(tmp_path: Path, name: str) -> None:
    trained = model(3, 1, inner=True)
    trained.compile("adam", "mse")
    trained.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    (trained.save if name.endswith("keras") else trained.save_weights)(tmp_path / name)
    found = KerasFileEditor(tmp_path / name).compare(trained)
    arrays = 6 + 2 + 12  # kernels and biases; iterations and rate; two moments of each
    assert found["status"] == "success" and found["error_count"] == 0
    assert found["match_count"] >= arrays


def test_edits_make_a_file_for_another_architecture(
    editor: KerasFileEditor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = model(3, 3, 4, inner=True)
    assert editor.compare(target)["status"] == "error"
    new = {"0": np.full((3, 4), 2.0), "1": np.zeros(4)}
    editor.add_object("layers/dense_9", new)
    editor.rename_object("layers/dense_9", "dense_2")
    assert editor.compare(target)["error_count"] == 1, "the inner kernel has another shape"
    assert "shape=(4, 1)" in capsys.readouterr().out
    editor.add_weights("layers/sequential/layers/dense", {"0": np.ones((4, 1))})
    assert editor.compare(target)["status"] == "success"
    editor.save(tmp_path / "new.weights.h5")
    target.load_weights(tmp_path / "new.weights.h5")
    np.testing.assert_array_equal(target.layers[3].kernel, new["0"])
    again = KerasFileEditor(tmp_path / "new.weights.h5")
    assert again.compare(target)["status"] == "success"
    assert again.object_metadata == editor.object_metadata


def test_names_mean_the_only_object_of_that_name(editor: KerasFileEditor) -> None:
    editor.delete_weight("dense_1", "1")
    assert list(editor.weights_dict["layers"]["dense_1"]) == ["0"]
    editor.delete_object("dense_1")
    assert "dense_1" not in editor.weights_dict["layers"]
    with pytest.raises(ValueError, match="more than once"):
        editor.delete_object("dense")


@pytest.mark.parametrize(
    "edit",
    [
        lambda e: e.delete_object("nope"),
        lambda e: e.delete_object("layers/nope"),
        lambda e: e.delete_object("layers/dense/0/deeper"),
        lambda e: e.rename_object("layers/dense", "layers/other"),
        lambda e: e.add_object("nope/dense", {"0": np.ones(1)}),
        lambda e: e.add_object("layers/other", [np.ones(1)]),
        lambda e: e.add_weights("layers/dense", np.ones(1)),
        lambda e: e.delete_weight("layers/dense", "7"),
        lambda e: e.save("other.keras"),
        lambda e: KerasFileEditor("other.txt"),
    ],
)
def test_wrong_edits_are_value_errors_and_change_nothing(
    edit: Any, editor: KerasFileEditor
) -> None:
    before = repr(editor.weights_dict)
    with pytest.raises(ValueError):
        edit(editor)
    assert repr(editor.weights_dict) == before


def test_files_that_lead_elsewhere_are_refused(tmp_path: Path) -> None:
    target, path = tmp_path / "t.weights.h5", tmp_path / "m.weights.h5"
    model(3).save_weights(target)
    for link in (h5py.ExternalLink(str(target), "/layers"), h5py.SoftLink("/real")):
        with h5py.File(path, "w") as file:
            file.create_group("real")
            file["layers"] = link
        with pytest.raises(ValueError, match="link"):
            KerasFileEditor(path)
    with h5py.File(path, "w") as file:
        inside = file.create_group("layers")
        inside["again"] = inside
    with pytest.raises(ValueError, match="elsewhere"):
        KerasFileEditor(path)
