"""Sharded weights exchanged with Keras, both ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras as K
import numpy as np
import pytest

import densekit as D

BOTH = [pytest.param(K, D, id="keras-to-densekit"), pytest.param(D, K, id="densekit-to-keras")]


def model(library: Any) -> Any:
    x = library.Input((200,))
    inner = library.Sequential([library.Input((300,)), library.layers.Dense(200)])
    built = library.Model(x, inner(library.layers.Dense(300)(x)))
    built.compile("adam", "mse")
    built.fit(np.ones((4, 200)), np.ones((4, 200)), verbose=0)
    return built


@pytest.mark.parametrize("gigabytes", [0.000224, 0.0005, 1])
@pytest.mark.parametrize(("writer", "reader"), BOTH)
def test_weights_and_optimizer_come_over(
    writer: Any, reader: Any, gigabytes: float, tmp_path: Path
) -> None:
    written, read = model(writer), model(reader)
    written.save_weights(tmp_path / "m.weights.json", max_shard_size=gigabytes)
    read.load_weights(tmp_path / "m.weights.json")
    for a, b in zip(written.get_weights(), read.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    ours, theirs = written.optimizer.variables, read.optimizer.variables
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("gigabytes", [0.000224, 0.0005, 1])
def test_files_and_map_are_those_of_keras(gigabytes: float, tmp_path: Path) -> None:
    found = []
    for library in (K, D):
        folder = tmp_path / library.__name__
        folder.mkdir()
        model(library).save_weights(folder / "m.weights.json", max_shard_size=gigabytes)
        described = json.loads((folder / "m.weights.json").read_text())
        if library is D:  # ours alone: what a resumed run shuffles by, 8 bytes
            del described["weight_map"]["/_shuffle_state/vars"]
            described["metadata"]["total_size"] -= 8
        found.append((described, sorted(entry.name for entry in folder.iterdir())))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("name", "size"),
    [("m.weights.json", None), ("m.keras", 1), ("m.h5", None), ("m.weights.json", 0.0001)],
)
def test_errors_are_of_keras_types(name: str, size: Any, tmp_path: Path) -> None:
    raised = []
    for library in (K, D):
        with pytest.raises(Exception) as caught:
            model(library).save_weights(tmp_path / name, max_shard_size=size)
        raised.append(caught.type)
    assert raised[0] is raised[1]
