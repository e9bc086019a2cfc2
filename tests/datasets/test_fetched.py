"""Data sets that are fetched: from where Keras has them, read as Keras reads them, without code."""

from __future__ import annotations

import gzip
import importlib
import io
import json
import pickle
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import densekit

FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "mnist": ("mnist.load_data", {}),
    "fashion_mnist": ("fashion_mnist.load_data", {}),
    "boston_housing": ("boston_housing.load_data", {}),
    "boston_housing, half": ("boston_housing.load_data", {"test_split": 0.5, "seed": 3}),
    "boston_housing, all": ("boston_housing.load_data", {"test_split": 1.0}),
    "california_housing": ("california_housing.load_data", {}),
    "california_housing, small": ("california_housing.load_data", {"version": "small"}),
    "california_housing, odd": ("california_housing.load_data", {"version": "odd"}),
    "cifar10": ("cifar10.load_data", {}),
    "cifar100": ("cifar100.load_data", {}),
    "cifar100, coarse": ("cifar100.load_data", {"label_mode": "coarse"}),
    "cifar100, odd": ("cifar100.load_data", {"label_mode": "odd"}),
    "imdb": ("imdb.load_data", {}),
    "imdb, few": ("imdb.load_data", {"num_words": 20, "skip_top": 5, "maxlen": 9, "seed": 4}),
    "imdb, bare": ("imdb.load_data", {"start_char": None, "oov_char": None, "index_from": 0}),
    "imdb, short": ("imdb.load_data", {"maxlen": 1}),
    "imdb, words": ("imdb.get_word_index", {}),
    "reuters": ("reuters.load_data", {}),
    "reuters, few": ("reuters.load_data", {"num_words": 20, "skip_top": 5, "maxlen": 14}),
    "reuters, bare": ("reuters.load_data", {"start_char": None, "oov_char": None, "num_words": 9}),
    "reuters, words": ("reuters.get_word_index", {}),
    "reuters, topics": ("reuters.get_label_names", {}),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: Any) -> Path:
    """Small files of the forms that are fetched."""
    folder: Path = tmp_path_factory.mktemp("fetched")
    draw = np.random.RandomState(0)
    images = draw.randint(0, 256, (7, 28, 28)).astype("uint8")
    parts = {"x_train": images, "y_train": np.arange(7, dtype="uint8")}
    np.savez(folder / "mnist.npz", x_test=images[:2], y_test=parts["y_train"][:2], **parts)
    for part, rows in (("train", 7), ("t10k", 3)):
        for kind, header, content in (
            ("labels-idx1", 8, np.arange(rows, dtype="uint8")),
            ("images-idx3", 16, images[:rows]),
        ):
            packed = gzip.compress(bytes(header) + content.tobytes())
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(packed)
    np.savez(folder / "boston_housing.npz", x=draw.rand(11, 13), y=draw.rand(11))
    rows = draw.rand(700, 8).astype("float32")
    np.savez(folder / "california_housing.npz", x=rows, y=rows[:, 0])
    texts = np.empty(12, object)
    for i in range(len(texts)):
        texts[i] = draw.randint(1, 40, 3 + i).tolist()
    labels = np.arange(12) % 3
    np.savez(
        folder / "imdb.npz", x_train=texts, y_train=labels, x_test=texts[:6], y_test=labels[:6]
    )
    np.savez(folder / "reuters.npz", x=texts, y=labels)
    for name in ("imdb", "reuters"):
        (folder / f"{name}_word_index.json").write_text(json.dumps({"the": 1, "film": 2}))
    for name, batches in (
        ("cifar10", {**{f"data_batch_{i}": 4 for i in range(1, 6)}, "test_batch": 3}),
        ("cifar100", {"train": 5, "test": 3}),
    ):
        inner = folder / FOLDERS[name]
        inner.mkdir()
        for batch, count in batches.items():
            pixels = np.broadcast_to(np.arange(3072, dtype="uint8"), (count, 3072))
            numbers = [i % 10 for i in range(count)]
            keys = [b"labels"] if name == "cifar10" else [b"fine_labels", b"coarse_labels"]
            content = {b"data": np.array(pixels), **dict.fromkeys(keys, numbers)}
            (inner / batch).write_bytes(pickle.dumps(content))
    return folder


def loaded(room: Any, case: str, files: Path, patch: pytest.MonkeyPatch) -> tuple[Any, list[Any]]:
    """What a call gives, and what it asks for."""
    name, arguments = CALLS[case]
    asked: list[Any] = []

    def get_file(fname: Any = None, origin: Any = None, **options: Any) -> str:
        asked.append((str(fname), origin, {k: v for k, v in options.items() if v is not None}))
        kept = files / origin.rpartition("/")[2]
        return str(kept if kept.exists() else files)

    module, function = name.split(".")
    if room is keras:
        homes = [importlib.import_module(f"keras.src.datasets.{module}")]
    else:
        homes = [importlib.import_module(f"densekit.datasets.{n}") for n in ("_fetching", "_cifar")]
    for home in homes:
        patch.setattr(home, "get_file", get_file)
    try:
        result = getattr(getattr(room.datasets, module), function)(**arguments)
    except ValueError:
        result = "ValueError"
    return result, asked


@pytest.mark.parametrize("case", CALLS)
def test_as_keras(case: str, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, asked = loaded(densekit, case, files, monkeypatch)
    theirs, expected = loaded(keras, case, files, monkeypatch)
    for _, _, options in asked:
        if options.get("cache_subdir") == "datasets":
            del options["cache_subdir"]
    if isinstance(ours, str) and isinstance(theirs, str):
        return
    assert sorted(map(repr, asked)) == sorted(map(repr, expected))
    if case == "cifar10":  # Keras takes batches of 10,000 rows alone
        (x, y), (x_test, y_test) = ours
        assert (x.shape, y.shape, x_test.shape) == ((20, 32, 32, 3), (20, 1), (3, 32, 32, 3))
        assert (x.dtype, y.dtype, y_test.dtype) == ("uint8", "uint8", "uint8")
        assert x[4, 0, 1].tolist() == [1, 1025 % 256, 2049 % 256]
        assert y[:, 0].tolist() == [0, 1, 2, 3] * 5
        return
    if not isinstance(theirs, tuple) or isinstance(theirs[0], str):
        assert ours == theirs
        return
    for one, two in zip(sum(ours, ()), sum(theirs, ()), strict=True):
        assert (one.shape, one.dtype) == (two.shape, np.asarray(two).dtype)
        np.testing.assert_array_equal(one, two)


class Harmful:
    def __reduce__(self) -> Any:
        return print, ("ran",)


def test_no_code_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetching = importlib.import_module("densekit.datasets._fetching")
    array = np.empty(1, object)
    array[0] = Harmful()
    np.savez(tmp_path / "x.npz", x=array)
    with pytest.raises(pickle.UnpicklingError, match="arrays alone"):
        fetching.arrays_of(tmp_path / "x.npz")
    with pytest.raises(pickle.UnpicklingError, match="arrays alone"):
        fetching.unpickled(io.BytesIO(pickle.dumps(Harmful())))
    assert capsys.readouterr().out == ""
