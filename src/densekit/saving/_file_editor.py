"""Looking into files of weights, and saving them with other names or arrays."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypedDict

import numpy as np

from densekit._core.console import write
from densekit._core.errors import describe, message
from densekit._core.frames import filters_traceback
from densekit._core.registry import export
from densekit._core.seeds import SeedGenerator
from densekit._core.types import Array, ArrayLike, Config
from densekit.saving._atomic import replacing
from densekit.saving._entries import make_entry
from densekit.saving._errors import damage_as_value_error
from densekit.saving._h5 import (
    Group,
    address,
    as_array,
    attribute_text,
    bad_file,
    child,
    group,
    is_group,
    open_file,
    read_array,
)
from densekit.saving._keras_zip import descriptions, weights_file
from densekit.saving._shards import SHARD_ENDING
from densekit.saving._state import visit_all, write_state

Weights = dict[str, "Array | Weights"]  # name -> array, or the Weights of an object inside
_VARIABLES = "vars"


class Comparison(TypedDict):
    """What `KerasFileEditor.compare` found: status "success" or "error"."""

    status: str
    error_count: int
    match_count: int


@export("keras.saving")
class KerasFileEditor:
    """Looks into a file of weights, compares it with a model, renames, adds, deletes, saves anew.

    The arrays of an object lie in `weights_dict` under the way to it: ``"layers/dense"`` has
    ``"0"``, the kernel, and ``"1"``, the bias. Names without ``/`` mean the one object of that
    name. Nothing is written before `save`.

    Args:
        filepath: a ``.keras`` or ``.weights.h5`` file.

    Raises:
        ValueError: for another extension, or a file that is damaged or leads to other files.

    Example:

    >>> import densekit as keras, numpy as np, os, tempfile
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> path = os.path.join(tempfile.mkdtemp(), "old.weights.h5")
    >>> model.save_weights(path)
    >>> editor = keras.saving.KerasFileEditor(path)  # doctest: +ELLIPSIS
    Keras weights file '...old.weights.h5'
    >>> editor.summary()
    Weights structure
      └─ layers
          └─ dense
              ├─ 0: shape=(3, 2), dtype=float32
              └─ 1: shape=(2,), dtype=float32
    >>> editor.add_object("layers/dense_1", {"0": np.zeros((2, 5)), "1": np.zeros(5)})
    >>> editor.delete_object("layers/dense")
    >>> editor.rename_object("dense_1", "dense")
    >>> editor.save(path)
    """

    @filters_traceback
    def __init__(self, filepath: str | os.PathLike[str]) -> None:
        self.filepath = filepath
        path = Path(filepath)
        self.metadata: Config | None = None
        self.config: Config | None = None
        self.model: object = None
        if path.suffix == ".keras":
            kind = "model"
            with damage_as_value_error(path):
                self.config, self.metadata = descriptions(path)
        elif path.name.endswith(SHARD_ENDING):
            kind = "weights"
        else:
            raise ValueError(
                message(
                    "KerasFileEditor: invalid filename",
                    "a '.keras' or '.weights.h5' extension",
                    repr(str(path)),
                    "Check the path.",
                )
            )
        self.object_metadata: dict[str, dict[str, str]] = {}
        with damage_as_value_error(path), weights_file(path) as file:
            self.weights_dict = self._read(file, "", set())
        write(f"Keras {kind} file {str(path)!r}")
        if self.metadata is not None:
            version, date = (self.metadata.get(key) for key in ("keras_version", "date_saved"))
            write(f"Saved with Keras {version} - date: {date}")

    def _read(self, holder: Group, path: str, met: set[int]) -> Weights:
        """The arrays and objects below `holder`; objects that hold nothing are left out."""
        if address(holder) in met:
            raise bad_file(f"HDF5 entry {path!r}", "a group that also lies elsewhere")
        met.add(address(holder))
        found: Weights = {}
        variables = group(holder, _VARIABLES)
        if variables is not None and len(variables):
            name = attribute_text(variables, "name")
            if name is not None:
                self.object_metadata[path] = {"name": name}
            found.update((key, read_array(variables, key)) for key in variables)
        for key in holder:
            item = child(holder, key)
            if key != _VARIABLES and is_group(item):
                below = self._read(item, f"{path}/{key}", met)
                if below:
                    found[key] = below
        return found

    def summary(self) -> None:
        """Print the objects in the file with the shapes and types of their arrays."""
        write("Weights structure")
        for line in _tree(self.weights_dict, "  "):
            write(line)

    @filters_traceback
    def compare(self, reference_model: object) -> Comparison:
        """Print where the file and a model differ: objects and arrays that one lacks, shapes.

        Returns:
            ``{"status": "success" or "error", "error_count": differences, "match_count": arrays
            that agree}``.
        """
        write("Running comparison")
        lines: list[str] = []
        reference, drawn = _weights_of(reference_model)
        matches = _compare(_without(self.weights_dict, drawn), reference, "", lines)
        for line in lines:
            write(line)
        errors = sum(line.startswith("...") for line in lines)
        write("─────────────────────")
        if errors:
            write(f"Found {_count(errors, 'error')}: the file does not fit the reference model")
        else:
            write("Comparison successful: the file fits the reference model")
            write(f"    Found {_count(matches, 'matching weight')}")
        status = "error" if errors else "success"
        return {"status": status, "error_count": errors, "match_count": matches}

    @filters_traceback
    def rename_object(self, object_name: str, new_name: str) -> None:
        """Give the object at a name or path another name, without ``/``."""
        if "/" in new_name:
            raise ValueError(
                message(
                    "rename_object", "a name without '/'", repr(new_name), "Pass the last part."
                )
            )
        holder, name = self._find(object_name)
        holder[new_name] = holder.pop(name)

    @filters_traceback
    def delete_object(self, object_name: str) -> None:
        """Remove the object at a name or path, and all it holds."""
        holder, name = self._find(object_name)
        del holder[name]

    @filters_traceback
    def add_object(self, object_path: str, weights: Mapping[str, ArrayLike]) -> None:
        """Add an object at a path whose parent exists, with arrays such as ``{"0": kernel}``."""
        added = _arrays(weights, "add_object")
        *parents, name = object_path.split("/")
        holder = self.weights_dict
        for part in parents:
            holder = _held(holder, part, "/".join(parents))
        holder[name] = added

    @filters_traceback
    def delete_weight(self, object_name: str, weight_name: str) -> None:
        """Remove one array of the object at a name or path."""
        holder, name = self._find(object_name)
        arrays = _held(holder, name)
        if weight_name not in arrays:
            raise ValueError(
                message(
                    f"delete_weight of {object_name!r}",
                    f"one of {list(arrays)}",
                    repr(weight_name),
                    "Look at `summary()`.",
                )
            )
        del arrays[weight_name]

    @filters_traceback
    def add_weights(self, object_name: str, weights: Mapping[str, ArrayLike]) -> None:
        """Add arrays to the object at a name or path, or put them in place of others."""
        added = _arrays(weights, "add_weights")
        holder, name = self._find(object_name)
        _held(holder, name).update(added)

    @filters_traceback
    def save(self, filepath: str | os.PathLike[str]) -> None:
        """Write what `weights_dict` holds now to a ``.weights.h5`` file, whole or not at all."""
        path = Path(filepath)
        if not path.name.endswith(SHARD_ENDING):
            got = repr(str(path))
            raise ValueError(
                message("KerasFileEditor.save", f"a {SHARD_ENDING!r} extension", got, "Rename it.")
            )
        with replacing(path) as temporary, open_file(temporary, "w") as file:
            self._write(self.weights_dict, file, "")

    def resave_weights(self, filepath: str | os.PathLike[str]) -> None:
        """The same as `save`."""
        self.save(filepath)

    def _write(self, weights: Weights, file: Group, path: str) -> None:
        arrays = {key: value for key, value in weights.items() if not isinstance(value, dict)}
        if arrays:
            name = self.object_metadata.get(f"/{path}" if path else "", {}).get("name")
            entry = make_entry(file, path, name)
            for key, array in arrays.items():
                entry[key] = array
        for key, value in weights.items():
            if isinstance(value, dict) and value:
                self._write(value, file, f"{path}/{key}" if path else key)

    def _find(self, name: str) -> tuple[Weights, str]:
        """What holds the object at a path, or the only object of a name; and its last name."""
        *parents, last = name.split("/")
        if parents:
            holder = self.weights_dict
            for part in parents:
                holder = _held(holder, part, name)
            found = [holder] if last in holder else []
        else:
            found = [holder for holder in _objects(self.weights_dict) if last in holder]
        if not found:
            raise _not_found(name)
        if len(found) > 1:
            raise ValueError(
                message(
                    "KerasFileEditor",
                    "the name of one object",
                    f"{name!r}, which occurs more than once in the model",
                    "Pass a complete path.",
                )
            )
        return found[0], last


def _objects(weights: Weights) -> Iterator[Weights]:
    yield weights
    for value in weights.values():
        if isinstance(value, dict):
            yield from _objects(value)


def _held(weights: Weights, name: str, path: str | None = None) -> Weights:
    found = weights.get(name)
    if not isinstance(found, dict):
        raise _not_found(path or name)
    return found


def _not_found(path: str) -> ValueError:
    return ValueError(
        message("KerasFileEditor", "an object of the file", f"path {path!r}", "See `summary()`.")
    )


def _arrays(weights: Mapping[str, ArrayLike], where: str) -> Weights:
    if not isinstance(weights, Mapping):
        raise ValueError(
            message(
                where,
                "weights as a dict of names ('0', '1', ...) and arrays",
                describe(weights),
                "Pass a dict.",
            )
        )
    return {name: np.asarray(value) for name, value in weights.items()}


def _tree(weights: Weights, indent: str) -> Iterator[str]:
    for i, (key, value) in enumerate(weights.items(), 1):
        last = i == len(weights)
        branch = f"{indent}{'└─' if last else '├─'} {key}"
        if isinstance(value, dict):
            yield branch
            yield from _tree(value, indent + ("    " if last else "│   "))
        else:
            yield f"{branch}: shape={value.shape}, dtype={value.dtype}"


def _compare(saved: Weights, reference: Weights, path: str, lines: list[str]) -> int:
    """Append a line that begins with ``...`` for each difference; the number of equal arrays."""
    matches = 0
    for key in dict.fromkeys([*reference, *saved]):
        here = f"{path}/{key}"
        if key not in saved or key not in reference:
            has, lacks = ("reference model", "saved file")[:: 1 if key in reference else -1]
            value = reference.get(key, saved.get(key))
            kind = "Object" if isinstance(value, dict) else "Weight"
            lines.append(f"...{kind} {here} present in {has}, missing from {lacks}")
            if isinstance(value, dict):
                lines.append(f"    In {has}, {here} contains the following keys: {list(value)}")
            continue
        ours, theirs = saved[key], reference[key]
        if isinstance(ours, dict) and isinstance(theirs, dict):
            matches += _compare(ours, theirs, here, lines)
        elif isinstance(ours, dict) or isinstance(theirs, dict):
            lines.append(f"...{here} is an object in one and a weight in the other")
        elif ours.shape != theirs.shape:
            lines.append(f"...Weight shape mismatch for {here}")
            lines.append(f"    In reference model: shape={theirs.shape}")
            lines.append(f"    In saved file: shape={ours.shape}")
        else:
            matches += 1
    return matches


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


class _Collected(dict[str, Array]):
    """Takes the arrays of one object as a file would."""

    def __setitem__(self, key: str, value: ArrayLike) -> None:
        super().__setitem__(key, as_array(value))


def _weights_of(model: object) -> tuple[Weights, set[str]]:
    """What a file of `model` would hold, and the paths of its seed generators.

    Files of Keras lack the generators' states and load all the same, so they are compared with
    nothing.
    """
    places: list[tuple[str, _Collected]] = []

    def new_entry(path: str, name: object) -> _Collected:
        places.append((path, _Collected()))
        return places[-1][1]

    drawn = {path: obj for path, obj in visit_all(model) if isinstance(obj, SeedGenerator)}
    write_state(model, new_entry, tuple(drawn.values()))
    root: Weights = {}
    for path, arrays in places:
        if arrays:
            holder = root
            for part in path.split("/") if path else ():
                holder = _held({part: holder.setdefault(part, {})}, part)
            holder.update(arrays)
    return root, {f"/{path}" for path in drawn}


def _without(weights: Weights, paths: set[str], path: str = "") -> Weights:
    """A copy that lacks the objects at some paths, and objects that held nothing else."""
    kept: Weights = {}
    for key, value in weights.items():
        here = f"{path}/{key}"
        if here in paths:
            continue
        below = _without(value, paths, here) if isinstance(value, dict) else value
        if not isinstance(below, dict) or below:
            kept[key] = below
    return kept
