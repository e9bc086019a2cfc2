"""Weights over several files of bounded size, and the `.weights.json` that says what lies where.

Keras' format of the map, which has the path of each object's variables and the names of files:
``{"metadata": {"total_size": bytes}, "weight_map": {"/layers/dense/vars": [file]}}``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from densekit._core.errors import describe, message
from densekit._core.types import ArrayLike
from densekit.saving._atomic import replacing, scratch_folder
from densekit.saving._config import parse_json
from densekit.saving._entries import Entry, NewEntry, Places
from densekit.saving._h5 import Group, as_array, bad_file, open_file, put_array

MAP_ENDING, SHARD_ENDING = ".weights.json", ".weights.h5"
_GIB = 1024**3
_MAX_MAP_BYTES = 256 << 20


class _Writer:
    """Fills shard after shard with arrays and remembers which shards each object lies in."""

    def __init__(self, folder: Path, base: str, most_bytes: float) -> None:
        self._folder, self._base, self._most = folder, base, most_bytes
        self._open = ExitStack()
        self._file: Group | None = None
        self._filled = 0
        self.total = 0
        self.names: list[str] = []
        self.weight_map: dict[str, list[str]] = {}

    def __enter__(self) -> _Writer:
        self._next()
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def _next(self) -> None:
        self._open.close()
        self.names.append(f"{self._base}_{len(self.names):05}{SHARD_ENDING}")
        self._file = self._open.enter_context(open_file(self._folder / self.names[-1], "w"))
        self._filled = 0

    def entry(self, path: str, name: object) -> Entry:
        """The place of an object: its arrays go into the shard that has room for them."""
        return _ShardedEntry(self, f"{path}/vars" if path else "vars", name)

    def put(self, place: str, name: object, key: str, value: ArrayLike) -> None:
        """Write one array of the object at `place`, into a new shard if this one is full."""
        array = as_array(value)
        if array.nbytes > self._most:
            raise ValueError(
                message(
                    f"save_weights, {place}/{key}",
                    f"arrays of at most max_shard_size={self._most / _GIB:g} GB",
                    f"{array.nbytes} bytes, which exceeds the maximum shard size",
                    "Increase max_shard_size.",
                )
            )
        if self._filled + array.nbytes > self._most:
            self._next()
        self._filled += array.nbytes
        self.total += array.nbytes
        assert self._file is not None
        variables = self._file.require_group(place)
        if isinstance(name, str):
            variables.attrs["name"] = name
        put_array(variables, key, array)
        shards = self.weight_map.setdefault(f"/{place}", [])
        if self.names[-1] not in shards:
            shards.append(self.names[-1])


class _ShardedEntry(Entry):
    """Where an object puts its arrays."""

    def __init__(self, writer: _Writer, place: str, name: object) -> None:
        super().__init__()
        self._writer, self._place, self._name = writer, place, name

    def __setitem__(self, key: str, value: ArrayLike) -> None:
        self._writer.put(self._place, self._name, key, value)


@contextmanager
def writing_shards(path: Path, max_shard_size: float) -> Iterator[NewEntry]:
    """Where objects put their variables; at the end the shards and then their map appear.

    Shards of an earlier save have the same names, so its map goes first: a crash between the
    renames leaves no map, never one that mixes two saves.
    """
    with scratch_folder(path) as folder:
        base = path.name.removesuffix(MAP_ENDING)
        with _Writer(folder, base, _bytes(max_shard_size)) as writer:
            yield writer.entry
        described = {"metadata": {"total_size": writer.total}, "weight_map": writer.weight_map}
        with replacing(path) as new_map:
            new_map.write_text(json.dumps(described, indent=4))
            path.unlink(missing_ok=True)
            for name in writer.names:
                os.replace(folder / name, path.with_name(name))


def _bytes(max_shard_size: float) -> float:
    if isinstance(max_shard_size, bool) or not isinstance(max_shard_size, int | float):
        wrong: type[Exception] | None = TypeError
    else:
        wrong = None if max_shard_size > 0 else ValueError
    if wrong is not None:
        raise wrong(
            message(
                "save_weights",
                "max_shard_size, the gigabytes of a shard, as a positive number",
                describe(max_shard_size),
                "Pass for example max_shard_size=2.",
            )
        )
    return max_shard_size * _GIB


@contextmanager
def reading_shards(path: Path) -> Iterator[Places]:
    """The weights that lie in the shards named by the map at `path`."""
    names = _shard_names(path)
    shards = [path.with_name(name) for name in names]
    absent = [shard.name for shard in shards if not shard.is_file()]
    if absent:
        raise ValueError(
            message(
                f"load_weights from {str(path)!r}",
                f"the {len(shards)} shards beside it",
                f"none named {absent[0]!r}",
                "Copy all files of the save into one folder.",
            )
        )
    size = sum(shard.stat().st_size for shard in shards)
    with ExitStack() as stack:
        files = [stack.enter_context(open_file(shard, size=size)) for shard in shards]
        yield Places(*files)


def _shard_names(path: Path) -> list[str]:
    """The names in the map, in order; a name that could lead elsewhere is refused."""
    where = f"map of shards {str(path)!r}"
    if path.stat().st_size > _MAX_MAP_BYTES:
        raise bad_file(where, "a map of absurd size")
    weight_map = parse_json(path.read_bytes(), where).get("weight_map")
    if not isinstance(weight_map, dict):
        raise bad_file(where, "no 'weight_map'")
    names: dict[str, None] = {}
    for value in weight_map.values():
        for name in value if isinstance(value, list) else [value]:
            if not isinstance(name, str) or not name.endswith(SHARD_ENDING):
                raise bad_file(where, f"the shard {name!r}")
            if Path(name).name != name or "\\" in name:
                raise bad_file(where, f"the shard {name!r}, which lies elsewhere")
            names[name] = None
    return list(names)
