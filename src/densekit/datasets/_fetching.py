"""Files of Keras' data sets: fetched from where Keras keeps them, read without running code."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from densekit._core.errors import describe, message
from densekit._core.types import Array
from densekit.utils._files import get_file

Pair = tuple[Array, Array]

_ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
# All that pickled arrays, and lists and dicts of them, are made by.
_MAKERS = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
}


def kept(name: str, path: str, digits: str | None, folder: str = "datasets") -> Path:
    """The file of that name, kept at `path` below the cache.

    Args:
        digits: of the hash of what is expected.
    """
    return Path(get_file(path, _ORIGIN + name, file_hash=digits, cache_subdir=folder))


def words_by_name(name: str, path: str, digits: str) -> dict[str, int]:
    """The number of each word of a data set of texts."""
    found: dict[str, int] = json.loads(kept(name, path, digits).read_text("utf-8"))
    return found


def arrays_of(path: Path) -> dict[str, Array]:
    """The arrays of an ``.npz`` file, those of lists too."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            stream = io.BytesIO(archive.read(member))
            found[member.removesuffix(".npy")] = _array(stream)
    return found


def _array(stream: BinaryIO) -> Array:
    is_first = np.lib.format.read_magic(stream) == (1, 0)
    header = (
        np.lib.format.read_array_header_1_0 if is_first else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = header(stream)
    if not dtype.hasobject:
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)
    found = unpickled(stream)
    if not isinstance(found, np.ndarray) or found.shape != shape:
        raise ValueError(
            message("datasets", f"an array of shape {shape}", describe(found), "Fetch it again.")
        )
    return found


def unpickled(stream: BinaryIO) -> object:
    """What was pickled, if it is made of arrays, numbers, text, lists and dicts alone."""
    found: object = _ArraysAlone(stream, encoding="bytes").load()
    return found


class _ArraysAlone(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) in _MAKERS:
            found: object = super().find_class(module, name)
            return found
        raise pickle.UnpicklingError(
            message("datasets", "arrays alone", f"{module}.{name}", "Fetch the file again.")
        )


def shuffled(x: Array, y: Array, draw: np.random.RandomState) -> Pair:
    """The rows in an order drawn as Keras draws it."""
    order = np.arange(len(x))
    draw.shuffle(order)
    return x[order], y[order]


def split(x: Array, y: Array, test_split: float, seed: int | None) -> tuple[Pair, Pair]:
    """Shuffled rows, the last of which are the test set."""
    x, y = shuffled(x, y, np.random.RandomState(seed))
    count = int(len(x) * (1 - test_split))
    return (x[:count].copy(), y[:count].copy()), (x[count:].copy(), y[count:].copy())


def check_split(test_split: float) -> None:
    """Refuse a share that leaves nothing to train on."""
    if not 0 <= test_split < 1:
        raise ValueError(
            message("load_data", "0 <= test_split < 1", f"{test_split!r}", "Pass e.g. 0.2.")
        )
