"""Reading and writing the HDF5 layout of Keras' weight files; the only module that imports h5py.

A file from elsewhere is distrusted: only hard links are followed, only plain numeric datasets are
read, none that claims to be far larger than the bytes stored for it, and none before its shape has
been compared with that of the variable it is for.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from densekit._core.dtypes import to_numpy_dtype
from densekit._core.errors import message
from densekit._core.types import Array, ArrayLike, DTypeLike, Operand, Shape
from densekit.saving._h5_types import is_bfloat16, is_known

# DEFLATE cannot expand beyond 1032:1, so more than this is a claim, not compression. The floor lets
# through small datasets that consist of a fill value alone.
_MAX_EXPANSION = 1100
_FLOOR_BYTES = 1 << 16
_SLACK_BYTES = 64 << 20
_MAX_NAMES = 1 << 20
_FILTERS = {1, 2, 3, 4, 5, 6, 32000}  # those that come with HDF5 and h5py; others are plugins

# Bytes that may still be read from the open file, in a list of one.
_budget: ContextVar[list[int]] = ContextVar("densekit_reading")


class Attributes(Protocol):
    """What stands beside an object of a file."""

    def get(self, name: str) -> object: ...
    def get_id(self, name: str) -> Any: ...  # of h5py, which has no types
    def __getitem__(self, name: str) -> str | bytes | Array | np.generic: ...
    def __setitem__(self, name: str, value: object) -> None: ...
    def __contains__(self, name: object) -> bool: ...
    def __len__(self) -> int: ...


class Dataset(Protocol):
    """An array in a file: `h5py.Dataset`."""

    shape: Shape | None
    dtype: np.dtype[np.generic]
    attrs: Attributes
    external: object
    is_virtual: bool
    id: Any  # of h5py, which has no types

    def __getitem__(self, key: Operand) -> Array: ...


class Group(Protocol):
    """What holds others in a file, and the file itself: `h5py.Group`, `h5py.File`."""

    attrs: Attributes
    id: Any  # of h5py, which has no types

    def create_group(self, name: str) -> Group: ...
    def require_group(self, name: str) -> Group: ...
    def create_dataset(self, name: str, data: Array) -> Dataset: ...
    def __getitem__(self, name: str) -> Group | Dataset: ...
    def __contains__(self, name: object) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...


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
def open_file(
    source: str | Path | io.BytesIO, mode: str = "r", size: int | None = None
) -> Iterator[Group]:
    """An open `h5py.File`; what the library cannot parse is a ValueError.

    Inside, no more is read in all than could be compressed to `size` bytes. Default: those of
    `source`.
    """
    label = "HDF5 file" if isinstance(source, io.BytesIO) else f"HDF5 file {str(source)!r}"
    try:
        file = h5py().File(source, mode)
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError) as error:
        raise bad_file(label, f"one that cannot be opened ({error})") from error
    size = size or (source.getbuffer().nbytes if isinstance(source, io.BytesIO) else 0)
    if not size and mode == "r":
        size = Path(source).stat().st_size  # type: ignore[arg-type]
    with file:
        token = _budget.set([_MAX_EXPANSION * size + _SLACK_BYTES])
        try:
            yield file
        finally:
            _budget.reset(token)


def child(parent: Group, name: str) -> Group | Dataset | None:
    """The object that `parent` holds under the path `name`, or None."""
    current = parent
    for part in name.split("/"):
        if not part or not isinstance(current, h5py().Group):
            return None
        kind = link_kind(current, part)
        if kind is None:
            return None
        if kind != h5py().h5l.TYPE_HARD:
            raise bad_file(f"HDF5 entry {name!r}", "a link to another place or file")
        try:
            current = current[part]
        except (KeyError, OSError, RuntimeError) as error:
            raise bad_file(f"HDF5 entry {name!r}", f"a damaged entry ({error})") from error
    return current


def link_kind(parent: Group, name: str) -> object:
    """The kind of link that `parent` holds under one name; nothing is opened."""
    try:
        return parent.id.links.get_info(name.encode("utf-8", "surrogateescape")).type
    except (KeyError, RuntimeError):
        return None


def group(parent: Group, name: str) -> Group | None:
    """The group at the path `name`, or None if there is nothing."""
    found = child(parent, name)
    if found is not None and not isinstance(found, h5py().Group):
        raise bad_file(f"HDF5 entry {name!r}", "an array in place of a group")
    return found


def is_group(item: object) -> TypeGuard[Group]:
    """Whether an object of a file holds others."""
    return isinstance(item, h5py().Group)


def address(item: Group) -> int:
    """Where an object lies in its file: the same for all links to it."""
    return int(h5py().h5o.get_info(item.id).addr)


class Stored(NDArrayOperatorsMixin):
    """An array in a file: shape and type are known, the values are read when they are asked for."""

    def __init__(self, data: Dataset, shape: Shape, where: str, budget: list[int]) -> None:
        self._data, self._where, self._budget = data, where, budget
        self.shape = shape
        self.ndim = len(self.shape)
        kind = data.id.get_type()
        self._bfloat16 = is_bfloat16(kind, _text(data.attrs.get("dtype")))
        if not (self._bfloat16 or is_known(kind)):
            raise bad_file(where, "elements that are neither IEEE floats nor plain integers")
        self.dtype = to_numpy_dtype("bfloat16") if self._bfloat16 else data.dtype

    def read(self) -> Array:
        """The values."""
        data = self._data
        self._budget[0] -= math.prod(self.shape) * data.dtype.itemsize
        if self._budget[0] < 0:
            raise bad_file(self._where, "far more values than bytes in the file")
        try:
            value = np.asarray(data[()])
        except (OSError, RuntimeError, MemoryError) as error:
            raise bad_file(self._where, f"values that cannot be read ({error})") from error
        if not self._bfloat16:
            return value
        return value.view(self.dtype) if value.dtype.kind == "V" else value.astype(self.dtype)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        value = self.read()
        return value if dtype is None else value.astype(dtype)

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: object, **kwargs: object
    ) -> object:
        values = [x.read() if isinstance(x, Stored) else x for x in inputs]
        return getattr(ufunc, method)(*values, **kwargs)

    def __getitem__(self, key: Operand) -> Array:
        return self.read()[key]

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.read())

    def __float__(self) -> float:
        return float(self.read())

    def __int__(self) -> int:
        return int(self.read())

    def __bool__(self) -> bool:
        return bool(self.read())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.read(), name)  # whatever else an array can do


def stored(parent: Group, name: str) -> Stored:
    """The array at the path `name`, not read yet.

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
    try:
        if data.external or data.is_virtual:
            raise bad_file(where, "values that lie in another file")
        if data.shape is None:
            raise bad_file(where, "no values")
        plan = data.id.get_create_plist()
        filters = {plan.get_filter(i)[0] for i in range(plan.get_nfilters())}
        if not filters <= _FILTERS:
            raise bad_file(where, "values behind an unknown filter")
        found = Stored(data, data.shape, where, _budget.get())
        declared = math.prod(data.shape) * data.dtype.itemsize
        kept = data.id.get_storage_size()
    except (TypeError, KeyError, OSError, RuntimeError) as error:  # types that NumPy has not
        raise bad_file(where, f"a description that cannot be read ({error})") from error
    if declared > _MAX_EXPANSION * kept + _FLOOR_BYTES:
        raise bad_file(where, f"shape {data.shape}, {declared} bytes, where {kept} are stored")
    return found


def read_array(parent: Group, name: str) -> Array:
    """The values of the array at the path `name`; errors as `stored`."""
    return stored(parent, name).read()


def _text(value: object) -> object:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _attribute(holder: Group, name: str) -> str | Array | np.generic | None:
    """The value of an attribute, None if there is none; a damaged one is a ValueError."""
    try:
        if name not in holder.attrs:
            return None
        identifier = holder.attrs.get_id(name)
        if math.prod(identifier.shape) > _MAX_NAMES:
            raise bad_file(f"HDF5 attribute {name!r}", f"shape {identifier.shape}")
        value = holder.attrs[name]
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    except (TypeError, KeyError, OSError, RuntimeError, MemoryError) as error:
        raise bad_file(f"HDF5 attribute {name!r}", f"a damaged one ({error})") from error


def attribute_text(holder: Group, name: str) -> str | None:
    """A string attribute, or None."""
    value = _attribute(holder, name)
    if isinstance(value, np.generic | np.ndarray) and value.ndim == 0:
        value = value.item()
        value = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if value is not None and not isinstance(value, str):
        raise bad_file(f"HDF5 attribute {name!r}", "something else than a text")
    return value


def attribute_names(holder: Group, name: str, most: int) -> list[str]:
    """A list of names kept in one attribute, or in several numbered ones when it was too long.

    More than `most` are an error, and no name may come twice: one array would be read as often as
    it is named.
    """
    names: list[object] = []
    chunks = [name] if name in holder.attrs else [f"{name}{i}" for i in range(len(holder.attrs))]
    for chunk in chunks:
        value = _attribute(holder, chunk)
        if value is None:
            break
        items = np.atleast_1d(value).tolist()
        if chunk != name and not items:
            raise bad_file(f"HDF5 attribute {chunk!r}", "no names")  # else there might be millions
        names += (_text(item) for item in items)
        if len(names) > most:
            raise bad_file(f"HDF5 attribute {name!r}", f"more than {most} names")
    texts = [item for item in names if isinstance(item, str)]
    if len(texts) < len(names):
        raise bad_file(f"HDF5 attribute {name!r}", "something else than a list of names")
    if len(set(texts)) < len(texts):
        raise bad_file(f"HDF5 attribute {name!r}", "a name twice")
    return texts


def as_array(value: ArrayLike) -> Array:
    """The values of an array or a variable."""
    return np.asarray(getattr(value, "value", value))


def put_array(parent: Group, name: str, value: ArrayLike) -> None:
    """Write an array; bfloat16, which HDF5 does not know, as two raw bytes and a mark."""
    array = as_array(value)
    data = parent.create_dataset(name, data=array)
    if array.dtype.name == "bfloat16":
        data.attrs["dtype"] = "bfloat16"
