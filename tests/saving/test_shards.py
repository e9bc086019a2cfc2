"""Weights over several files: what each holds, what the map says, what damage and crashes do."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import densekit as keras
from densekit.saving import _shards

KERNEL_GB = 200 * 300 * 4 / 1024**3


def model() -> Any:
    built = keras.Sequential(
        [keras.Input((200,)), keras.layers.Dense(300, name="first"), keras.layers.Dense(200)]
    )
    built.compile("sgd", "mse")
    return built


def size_of(shard: Path) -> int:
    sizes: list[int] = []
    with h5py.File(shard) as file:
        file.visititems(
            lambda _, item: sizes.append(item.nbytes) if isinstance(item, h5py.Dataset) else None
        )
    return sum(sizes)


def test_shards_hold_no_more_than_asked_and_all_comes_back(tmp_path: Path) -> None:
    written, read = model(), model()
    written.save_weights(tmp_path / "m.weights.json", max_shard_size=KERNEL_GB)
    shards = sorted(tmp_path.glob("*.weights.h5"))
    assert [shard.name for shard in shards] == [f"m_{i:05}.weights.h5" for i in range(4)]
    assert {entry.name for entry in tmp_path.iterdir()} == {
        "m.weights.json",
        *(shard.name for shard in shards),
    }
    described = json.loads((tmp_path / "m.weights.json").read_text())
    sizes = [size_of(shard) for shard in shards]
    assert described["metadata"] == {"total_size": sum(sizes)}
    assert max(sizes) <= KERNEL_GB * 1024**3
    first = described["weight_map"]["/layers/dense/vars"]
    assert first == ["m_00000.weights.h5", "m_00001.weights.h5"], "kernel and bias part company"
    read.load_weights(tmp_path / "m.weights.json")
    for a, b in zip(written.get_weights(), read.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_one_shard_where_all_fits(tmp_path: Path) -> None:
    model().save_weights(tmp_path / "m.weights.json", max_shard_size=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.weights.json", "m_00000.weights.h5"]


def test_an_h5_name_becomes_the_maps(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="m.weights.json"):
        model().save_weights(tmp_path / "m.weights.h5", max_shard_size=1)
    assert (tmp_path / "m.weights.json").is_file()


@pytest.mark.parametrize(
    ("name", "size", "error"),
    [
        ("m.weights.json", KERNEL_GB / 2, ValueError),
        ("m.weights.json", 0, ValueError),
        ("m.weights.json", -1.0, ValueError),
        ("m.weights.json", "2GB", TypeError),
        ("m.keras", 1, ValueError),
        ("m.weights.json", None, ValueError),
    ],
)
def test_what_cannot_be_written_leaves_nothing(
    tmp_path: Path, name: str, size: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="save_weights"):
        model().save_weights(tmp_path / name, max_shard_size=size)
    assert not list(tmp_path.iterdir())


def test_a_failed_save_leaves_the_last_one(tmp_path: Path) -> None:
    written, read = model(), model()
    written.save_weights(tmp_path / "m.weights.json", max_shard_size=1)
    with pytest.raises(ValueError, match="maximum shard size"):
        model().save_weights(tmp_path / "m.weights.json", max_shard_size=KERNEL_GB / 2)
    read.load_weights(tmp_path / "m.weights.json")
    np.testing.assert_array_equal(read.get_weights()[0], written.get_weights()[0])


def test_a_crash_between_the_renames_leaves_no_map_rather_than_a_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model().save_weights(tmp_path / "m.weights.json", max_shard_size=KERNEL_GB)
    renamed = []

    def crash(source: Any, target: Any) -> None:
        renamed.append(target)
        if len(renamed) > 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(_shards.os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        model().save_weights(tmp_path / "m.weights.json", max_shard_size=KERNEL_GB)
    monkeypatch.undo()
    assert not (tmp_path / "m.weights.json").exists()


@pytest.mark.parametrize(
    "weight_map",
    [
        {"/layers/dense/vars": "../m_00000.weights.h5"},
        {"/layers/dense/vars": "/etc/m.weights.h5"},
        {"/layers/dense/vars": "..\\m_00000.weights.h5"},
        {"/layers/dense/vars": "m_00000.pkl"},
        {"/layers/dense/vars": 7},
        {"/layers/dense/vars": "absent.weights.h5"},
        [],
        None,
    ],
)
def test_a_map_that_leads_elsewhere_or_nowhere_is_refused(tmp_path: Path, weight_map: Any) -> None:
    target = model()
    before = target.get_weights()
    target.save_weights(tmp_path / "m.weights.json", max_shard_size=1)
    (tmp_path / "m.weights.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(ValueError):
        target.load_weights(tmp_path / "m.weights.json")
    np.testing.assert_array_equal(before[0], target.get_weights()[0])


def test_a_shard_that_is_gone_is_named_and_changes_nothing(tmp_path: Path) -> None:
    model().save_weights(tmp_path / "m.weights.json", max_shard_size=KERNEL_GB)
    os.remove(tmp_path / "m_00001.weights.h5")
    target = model()
    before = target.get_weights()
    with pytest.raises(ValueError, match="m_00001"):
        target.load_weights(tmp_path / "m.weights.json")
    for a, b in zip(before, target.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("size", [None, KERNEL_GB])
def test_objects_to_skip_are_not_written(tmp_path: Path, size: float | None) -> None:
    written, read = model(), model()
    path = tmp_path / ("m.weights.json" if size else "m.weights.h5")
    keras.saving.save_weights(
        written, path, max_shard_size=size, objects_to_skip=written.layers[:1]
    )
    before = read.get_weights()
    with pytest.raises(ValueError, match="first"):
        read.load_weights(path)
    keras.saving.load_weights(read, path, objects_to_skip=read.layers[:1])
    np.testing.assert_array_equal(read.get_weights()[0], before[0])
    np.testing.assert_array_equal(read.get_weights()[2], written.get_weights()[2])
