"""Reading and writing the HDF5 layout of Keras' weight files; the only module that imports h5py.

A file from elsewhere is distrusted: only hard links are followed, only plain numeric datasets are
read, and none that claims to be far larger than the bytes stored for it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from densekit._core.dtypes import to_numpy_dtype
from densekit._core.errors import message

# DEFLATE cannot expand beyond 1032:1, so more than this is a claim, not compression. The floor lets
# through small datasets that consist of a fill value alone.
_MAX_EXPANSION = 1100
_FLOOR_BYTES = 1 << 16
_MAX_NAMES = 1 << 20


def h5py() -> Any:
    """The h5py module, imported on first use: it costs more than all of densekit."""
    try:
        import h5py  # optional at import: training does not need it
    except ImportError as error:
        raise ImportError(
            message("saving", "the h5py package", "none", "Install it: pip install h5py.")
        ) from error
    return h5py


def bad_file(where: str, got: str) -> ValueError:
    """The error for a file that is damaged, hostile or no model file at all."""
    return ValueError(
        message(where, "an intact file of plain arrays", got, "Save the model again.")
    )


@contextmanager
def open_file(source: str | Path | io.BytesIO, mode: str = "r") -> Iterator[Any]:
    """An open `h5py.File`; what the library cannot parse is a ValueError."""
    label = "HDF5 file" if isinstance(source, io.BytesIO) else f"HDF5 file {str(source)!r}"
    try:
        file = h5py().File(source, mode)
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError) as error:
        raise bad_file(label, f"one that cannot be opened ({error})") from error
    with file:
        yield file


def child(parent: Any, name: str) -> Any | None:
    """The object that `parent` holds under the path `name`, or None."""
    current = parent
    for part in name.split("/"):
        if not part or not isinstance(current, h5py().Group):
            return None
        link = current.get(part, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py().HardLink):
            raise bad_file(f"HDF5 entry {name!r}", f"a {type(link).__name__}")
        try:
            current = current[part]
        except (KeyError, OSError, RuntimeError) as error:
            raise bad_file(f"HDF5 entry {name!r}", f"a damaged entry ({error})") from error
    return current


def group(parent: Any, name: str) -> Any | None:
    """The group at the path `name`, or None if there is nothing."""
    found = child(parent, name)
    if found is not None and not isinstance(found, h5py().Group):
        raise bad_file(f"HDF5 entry {name!r}", "an array in place of a group")
    return found


def read_array(parent: Any, name: str) -> npt.NDArray[Any]:
    """The array at the path `name`.

    Raises:
        KeyError: if there is none.
        ValueError: for external, virtual, non-numeric or absurdly large datasets.
    """
    where = f"HDF5 dataset {name!r}"
    data = child(parent, name)
    if data is None:
        raise KeyError(name)
    if not isinstance(data, h5py().Dataset):
        raise bad_file(where, "a group in place of an array")
    if data.external or data.is_virtual:
        raise bad_file(where, "values that lie in another file")
    bfloat16 = _text(data.attrs.get("dtype")) == "bfloat16" and data.dtype.itemsize == 2
    if data.shape is None or (data.dtype.kind not in "biuf" and not bfloat16):
        raise bad_file(where, f"elements of type {data.dtype}")
    declared = math.prod(data.shape) * data.dtype.itemsize
    stored = data.id.get_storage_size()
    if declared > _MAX_EXPANSION * stored + _FLOOR_BYTES:
        raise bad_file(where, f"shape {data.shape}, {declared} bytes, where {stored} are stored")
    try:
        value = np.asarray(data[()])
    except (OSError, RuntimeError, MemoryError) as error:
        raise bad_file(where, f"values that cannot be read ({error})") from error
    return value.view(to_numpy_dtype("bfloat16")) if bfloat16 else value


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def attribute_text(holder: Any, name: str) -> str | None:
    """A string attribute, or None."""
    value = _text(holder.attrs.get(name))
    return value if value is None or isinstance(value, str) else str(value)


def attribute_names(holder: Any, name: str) -> list[str]:
    """A list of names kept in one attribute, or in several numbered ones when it was too long."""
    if name in holder.attrs:
        chunks = [holder.attrs[name]]
    else:
        chunks = []
        while f"{name}{len(chunks)}" in holder.attrs:
            chunks.append(holder.attrs[f"{name}{len(chunks)}"])
    names = [_text(item) for chunk in chunks for item in np.atleast_1d(chunk).tolist()]
    if len(names) > _MAX_NAMES or not all(isinstance(item, str) for item in names):
        raise bad_file(f"HDF5 attribute {name!r}", "something else than a list of names")
    return names


def put_array(parent: Any, name: str, value: Any) -> None:
    """Write an array; bfloat16, which HDF5 does not know, as two raw bytes and a mark."""
    array = np.asarray(getattr(value, "value", value))
    data = parent.create_dataset(name, data=array)
    if array.dtype.name == "bfloat16":
        data.attrs["dtype"] = "bfloat16"


class Entry:
    """What `save_own_variables` and `load_own_variables` see: a mapping of names to arrays."""

    def __init__(self, variables: Any | None) -> None:
        self._group = variables

    def __setitem__(self, key: str, value: Any) -> None:
        put_array(self._group, key, value)

    def __getitem__(self, key: str) -> npt.NDArray[Any]:
        if self._group is None:
            raise KeyError(key)
        return read_array(self._group, key)

    def __contains__(self, key: object) -> bool:
        return self._group is not None and key in self._group

    def __len__(self) -> int:
        return 0 if self._group is None else len(self._group)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> list[str]:
        """Names of the arrays."""
        return [] if self._group is None else list(self._group.keys())


def make_entry(file: Any, path: str, name: Any) -> Entry:
    """A new place for the variables of the object at `path`; its name is kept beside them."""
    parent = file.create_group(path) if path else file
    variables = parent.create_group("vars")
    if isinstance(name, str):
        variables.attrs["name"] = name
    return Entry(variables)


def find_entry(file: Any, path: str) -> Entry:
    """The variables stored for `path`; empty if the file has none."""
    paths = [path]
    if "_layer_checkpoint_dependencies" in file:  # what Keras 2.12 and 2.13 call "layers"
        paths.append(path.replace("layers", "_layer_checkpoint_dependencies"))
    for candidate in paths:
        variables = group(file, f"{candidate}/vars" if candidate else "vars")
        if variables is not None:
            return Entry(variables)
    return Entry(None)
