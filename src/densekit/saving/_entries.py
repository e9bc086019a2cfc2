"""Where weight files keep the variables of each object, for one file and for several shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from densekit._core.types import ArrayLike
from densekit.saving._h5 import Group, Stored, group, link_kind, put_array, stored


class Entry:
    """What `save_own_variables` and `load_own_variables` see: a mapping of names to arrays.

    The arrays of one object may lie in several groups: those of the shards that hold some of them.
    """

    def __init__(self, *groups: Group) -> None:
        self._groups = groups

    def __setitem__(self, key: str, value: ArrayLike) -> None:
        put_array(self._groups[0], key, value)

    def __getitem__(self, key: str) -> Stored:
        for holder in self._groups:
            if link_kind(holder, key) is not None:
                return stored(holder, key)
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return any(link_kind(holder, str(key)) is not None for holder in self._groups)

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> list[str]:
        """Names of the arrays."""
        return list(dict.fromkeys(key for holder in self._groups for key in holder))


class Store(Protocol):
    """What takes the arrays of one object."""

    def __setitem__(self, key: str, value: ArrayLike) -> None: ...


NewEntry = Callable[[str, object], Store]  # (path, name of the object) -> its place in a new file


def make_entry(file: Group, path: str, name: object) -> Entry:
    """A new place for the variables of the object at `path`; its name is kept beside them."""
    parent = file.create_group(path) if path else file
    variables = parent.create_group("vars")
    if isinstance(name, str):
        variables.attrs["name"] = name
    return Entry(variables)


class Places:
    """Where open files keep the variables of an object that today lies at a path.

    Keras 2.12 to 2.14 called "layers" otherwise. On Windows a whole path was one name, with
    backslashes in it.
    """

    def __init__(self, *files: Group) -> None:
        self._files = files
        names = [name for file in files for name in file]
        self._backslashes = any("\\" in name for name in names)
        self.legacy = any("layer_names" in file.attrs for file in files)  # by the names of layers
        self.old = any(name.startswith(_OLD_LAYERS) for name in names)

    def find(self, path: str) -> Entry | None:
        """The variables at `path`; None if there is no such place."""
        candidates = [path]
        if self.old and "layers" in path:
            candidates.append(path.replace("layers", _OLD_LAYERS))
        if self._backslashes:
            candidates += [one.replace("/", "\\") for one in candidates if "/" in one]
        for candidate in candidates:
            place = f"{candidate}/vars" if candidate else "vars"
            found = [holder for file in self._files if (holder := group(file, place)) is not None]
            if found:
                return Entry(*found)
        return None


_OLD_LAYERS = "_layer_checkpoint_dependencies"
