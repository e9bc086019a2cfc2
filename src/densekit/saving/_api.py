"""Saving and loading, by the extension of the path."""

from __future__ import annotations

import os
import sys
import zipfile
from functools import partial
from pathlib import Path
from typing import Any, cast

from densekit._core.errors import describe, message
from densekit._core.frames import filters_traceback, warn
from densekit._core.registry import export
from densekit.layers import Layer
from densekit.saving import _legacy_h5
from densekit.saving._atomic import replacing
from densekit.saving._entries import make_entry
from densekit.saving._errors import damage_as_value_error
from densekit.saving._h5 import open_file
from densekit.saving._keras_zip import (
    CONFIG,
    read_keras,
    weights_at,
    write_folder,
    write_keras,
)
from densekit.saving._model import SavedModel
from densekit.saving._orbax import is_orbax, load_orbax_weights, read_orbax
from densekit.saving._shards import MAP_ENDING, SHARD_ENDING, reading_shards, writing_shards
from densekit.saving._state import read_state, write_state

_LEGACY = (".h5", ".hdf5")


@export("keras.saving")
@filters_traceback
def save_model(
    model: SavedModel | Layer,
    filepath: str | Path,
    overwrite: bool = True,
    zipped: bool | None = None,
    include_optimizer: bool = True,
    save_format: str | None = None,
    **unsupported: object,
) -> None:
    """Write a whole model: architecture, weights, compile arguments and optimizer state.

    The file appears whole or not at all: a crash while writing leaves the old one.

    Args:
        model: a `Model`.
        filepath: ending in ``.keras``, or ``.h5`` for the legacy format.
        overwrite: whether an existing file is replaced without asking. Default: ``True``.
        zipped: ``False`` writes a folder in place of a ``.keras`` file. Default: ``True``.
        include_optimizer: legacy format only. Default: ``True``.
        save_format: of Keras 2: the extension says it; given, it brings a warning. Default: none.

    Raises:
        ValueError: for another extension, a `save_format` without one, or an unknown argument.

    Example:

    >>> import densekit as keras, tempfile, os
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> path = os.path.join(tempfile.mkdtemp(), "model.keras")
    >>> keras.saving.save_model(model, path)
    >>> keras.saving.load_model(path).output_shape
    (None, 2)
    """
    if unsupported:
        raise ValueError(
            message(
                "save_model", "the arguments of its card", f"{sorted(unsupported)}", "Drop them."
            )
        )
    path = _path(filepath, "save_model", ValueError)
    if save_format is not None:
        _check_format(save_format, path)
    if zipped is False:
        if path.suffix == ".keras":
            raise ValueError(
                message(
                    "save_model", "a folder for zipped=False", repr(str(path)), "Drop '.keras'."
                )
            )
        write_folder(model, path)
        return
    if path.suffix not in (".keras", *_LEGACY):
        raise ValueError(
            message(
                "save_model: invalid filepath extension",
                "'.keras' (or '.h5' for the legacy format)",
                repr(str(filepath)),
                "Let the path end in '.keras'.",
            )
        )
    if not _may_write(path, overwrite):
        return
    if path.suffix == ".keras":
        write_keras(model, path)
    else:
        _legacy_h5.write_model(cast("SavedModel", model), path, include_optimizer)


def _check_format(save_format: str, path: Path) -> None:
    """Pass over what the extension says better.

    Raises:
        ValueError: if there is no such extension.
    """
    if path.suffix not in (".keras", *_LEGACY):
        raise ValueError(
            message(
                f"save_model: save_format={save_format!r} is deprecated",
                "a path that ends in '.keras' or '.h5'",
                repr(str(path)),
                "Leave save_format out and let the path end so.",
            )
        )
    warn("save_model: save_format is deprecated: leave it out, the extension says it")


@export("keras.saving")
@filters_traceback
def load_model(
    filepath: str | Path,
    custom_objects: dict[str, object] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Revive a model that `save_model`, or Keras, wrote.

    Args:
        filepath: a ``.keras`` file or folder, a legacy ``.h5`` file, or a folder of checkpoints as
            `callbacks.OrbaxCheckpoint` writes them, of which the latest is read.
        custom_objects: users' classes and functions by name. Default: none.
        compile: whether to compile as the saved model was. Default: ``True``.
        safe_mode: accepted for Keras' sake; code in a file is never run. Default: ``True``.

    Raises:
        ValueError: for a missing, damaged or unsafe file.
        TypeError: for a class or function that is not known.

    Example:

    >>> import densekit as keras
    >>> keras.saving.load_model("nope.keras")
    Traceback (most recent call last):
    ...
    ValueError: load_model: expected an existing `.keras` file, got 'nope.keras'. Check the path.
    """
    if not isinstance(filepath, str | Path):
        raise ValueError(message("load_model", "a path", describe(filepath), "Pass a str or Path."))
    path = Path(filepath)
    if (path.is_dir() and (path / CONFIG).is_file()) or (
        path.suffix == ".keras" and zipfile.is_zipfile(path)
    ):
        with damage_as_value_error(path):
            return read_keras(path, custom_objects, compile)
    if path.suffix in _LEGACY:
        with damage_as_value_error(path):
            return _legacy_h5.read_model(path, custom_objects, compile)
    if is_orbax(path):
        with damage_as_value_error(path):
            return read_orbax(path, custom_objects, compile)
    if path.suffix == ".keras":
        if path.is_file():
            got = f"{str(path)!r}, which is no zip file or is cut short"
            raise ValueError(
                message("load_model", "an intact `.keras` file", got, "Save the model again.")
            )
        raise ValueError(
            message("load_model", "an existing `.keras` file", repr(str(path)), "Check the path.")
        )
    raise ValueError(
        message("load_model", "a '.keras' or '.h5' file", repr(str(path)), "Check the extension.")
    )


@export("keras.saving")
@filters_traceback
def save_weights(
    model: SavedModel | Layer,
    filepath: str | Path,
    overwrite: bool = True,
    max_shard_size: float | None = None,
    objects_to_skip: list[Layer] | None = None,
) -> None:
    """Write the weights of a built model, and the state of its optimizer if it has any.

    Args:
        model: a built `Model`.
        filepath: ending in ``.weights.h5``, or in ``.weights.json`` with `max_shard_size`.
        overwrite: whether an existing file is replaced without asking. Default: ``True``.
        max_shard_size: gigabytes (2**30 bytes) that one file may hold: the weights go into
            ``NAME_00000.weights.h5``, ``NAME_00001.weights.h5``, ... beside
            ``NAME.weights.json``, which says what lies where. Default: one file.
        objects_to_skip: layers that are not written. Default: none.

    Raises:
        ValueError: for another extension, an array larger than a shard, or a model that is not
            built.

    Example:

    >>> import densekit as keras, tempfile, os
    >>> model = keras.Sequential([keras.Input((300,)), keras.layers.Dense(200)])
    >>> folder = tempfile.mkdtemp()
    >>> model.save_weights(os.path.join(folder, "m.weights.json"), max_shard_size=0.000224)
    >>> sorted(os.listdir(folder))
    ['m.weights.json', 'm_00000.weights.h5', 'm_00001.weights.h5']
    >>> model.load_weights(os.path.join(folder, "m.weights.json"))
    """
    _require_built(model, "save_weights")
    path = _path(filepath, "save_weights", ValueError)
    path = _weights_path(path, sharded=max_shard_size is not None)
    if not _may_write(path, overwrite):
        return
    skip = tuple(objects_to_skip or ())
    if max_shard_size is not None:
        with writing_shards(path, max_shard_size) as new_entry:
            write_state(model, new_entry, skip)
        return
    with replacing(path) as temporary, open_file(temporary, "w") as file:
        write_state(model, partial(make_entry, file), skip)


def _weights_path(path: Path, sharded: bool) -> Path:
    """The path to write weights to; that of the map of shards if they are `sharded`."""
    if sharded and path.name.endswith(SHARD_ENDING):
        renamed = path.with_suffix(".json")
        warn(f"save_weights: sharded weights are found through {renamed.name!r}, not {path.name!r}")
        return renamed
    ending = MAP_ENDING if sharded else SHARD_ENDING
    if not path.name.endswith(ending):
        where = "save_weights with max_shard_size" if sharded else "save_weights"
        got = repr(str(path))
        raise ValueError(message(where, f"a filename that ends in {ending!r}", got, "Rename it."))
    return path


@export("keras.saving")
@filters_traceback
def load_weights(
    model: SavedModel | Layer,
    filepath: str | Path,
    skip_mismatch: bool = False,
    by_name: bool | None = None,
    objects_to_skip: list[Layer] | None = None,
) -> None:
    """Read weights into a built model: all fit and are assigned, or the model stays as it was.

    Args:
        model: a built `Model` of the architecture that was saved.
        filepath: a ``.weights.h5``, ``.keras`` or legacy ``.h5`` file, the ``.weights.json`` of
            sharded weights, or a folder of Orbax checkpoints.
        skip_mismatch: leave layers that do not fit as they are, with a warning. Default: ``False``.
        by_name: legacy files only: match layers by name, not order. Default: ``False``.
        objects_to_skip: layers to leave as they are. Default: none.

    Raises:
        ValueError: for a damaged file, weights that do not fit, or a model that is not built.

    Example:

    >>> import densekit as keras, os, tempfile
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> path = os.path.join(tempfile.mkdtemp(), "model.weights.h5")
    >>> keras.saving.save_weights(model, path)
    >>> keras.saving.load_weights(model, path)
    """
    _require_built(model, "load_weights")
    path = _path(filepath, "load_weights", TypeError)
    modern = path.suffix == ".keras" or path.name.endswith((SHARD_ENDING, MAP_ENDING))
    if modern:
        if by_name is not None:
            raise ValueError(
                message(
                    "load_weights",
                    "a legacy '.h5' file for by_name",
                    repr(str(path)),
                    "Drop by_name.",
                )
            )
        with damage_as_value_error(path):
            weights = reading_shards(path) if path.suffix == ".json" else weights_at(path)
            with weights as places:
                legacy = places.legacy  # Keras 2 took any name that ends in .h5
                if not legacy:
                    read_state(model, places, skip_mismatch, tuple(objects_to_skip or ()))
            if legacy:
                legacy_model = cast("SavedModel", model)
                _legacy_h5.load_weights(path, legacy_model, skip_mismatch, by_name=False)
    elif path.suffix in _LEGACY:
        if objects_to_skip is not None:
            raise ValueError(
                message(
                    "load_weights",
                    "a '.weights.h5' or '.keras' file for objects_to_skip",
                    repr(str(path)),
                    "Pass by_name=True, and other names for the layers to leave.",
                )
            )
        with damage_as_value_error(path):
            legacy_model = cast("SavedModel", model)
            _legacy_h5.load_weights(path, legacy_model, skip_mismatch, bool(by_name))
    elif is_orbax(path):
        with damage_as_value_error(path):
            load_orbax_weights(path, cast("SavedModel", model), skip_mismatch)
    else:
        raise ValueError(
            message(
                "load_weights",
                "a '.weights.h5', '.weights.json', '.keras' or '.h5' file",
                repr(str(path)),
                "Check the extension.",
            )
        )


def _path(given: object, where: str, error: type[Exception]) -> Path:
    if not isinstance(given, str | os.PathLike):
        raise error(message(where, "a path", describe(given), "Pass a str or Path."))
    return Path(given)


def _require_built(model: SavedModel | Layer, where: str) -> None:
    if not model.built:
        raise ValueError(
            message(
                f"{where} on {model.name!r}",
                "a built model",
                "one without weights",
                "Call it on data or `build(input_shape)` first.",
            )
        )


def _may_write(path: Path, overwrite: bool) -> bool:
    """Whether to go on; asks as Keras does, and fails where there is nobody to ask."""
    if overwrite or not path.exists():
        return True
    if not sys.stdin or not sys.stdin.isatty():
        raise FileExistsError(
            message("save", "a new path for overwrite=False", repr(str(path)), "Choose another.")
        )
    return input(f"{path} exists. Overwrite? [y/n] ").strip().lower() == "y"
