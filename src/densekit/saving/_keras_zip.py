"""The `.keras` format: an uncompressed zip of metadata.json, config.json and model.weights.h5.

Layers that write files of their own find them below ``assets/``.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from densekit._core.allowance import allowance
from densekit._core.errors import message
from densekit._core.registry import custom_object_scope
from densekit._core.types import Config
from densekit.saving._assets import (
    ASSETS,
    files_in,
    load_assets,
    reads_assets,
    save_assets,
    unpacked,
)
from densekit.saving._atomic import replacing, scratch_folder
from densekit.saving._config import (
    allowed,
    metadata_json,
    model_to_json,
    parse_json,
    revive_model,
)
from densekit.saving._entries import Places, make_entry
from densekit.saving._h5 import Group, bad_file, open_file
from densekit.saving._model import SavedModel
from densekit.saving._modernize import modern_object
from densekit.saving._state import read_state, write_state

METADATA, CONFIG, WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
_MAX_CONFIG_BYTES = 256 << 20
_MAX_EXPANSION = 100  # Keras stores members uncompressed; a rezipped file stays far below
_FLOOR_BYTES = 64 << 20


def write_keras(model: object, path: Path) -> None:
    """Write `model` to one `.keras` file, whole or not at all."""
    config = model_to_json(model)
    with replacing(path) as temporary, scratch_folder(path) as folder:
        weights = folder / WEIGHTS
        with open_file(weights, "w") as file:
            write_state(model, partial(make_entry, file))
        save_assets(model, folder / ASSETS)
        with zipfile.ZipFile(temporary, "w") as archive:
            archive.writestr(METADATA, metadata_json())
            archive.writestr(CONFIG, config)
            archive.write(weights, WEIGHTS)
            for name, asset in files_in(folder / ASSETS):
                archive.write(asset, name)


def write_folder(model: object, path: Path) -> None:
    """Write the three parts of a `.keras` file into a folder (``zipped=False``)."""
    config = model_to_json(model)
    path.mkdir(parents=True, exist_ok=True)
    with replacing(path / WEIGHTS) as weights, open_file(weights, "w") as file:
        write_state(model, partial(make_entry, file))
    for name, text in ((METADATA, metadata_json()), (CONFIG, config)):
        with replacing(path / name) as part:
            part.write_text(text)
    with scratch_folder(path / ASSETS) as folder:
        save_assets(model, folder)
        for name, asset in files_in(folder):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            with replacing(path / name) as part:
                part.write_bytes(asset.read_bytes())


def read_keras(path: Path, custom_objects: dict[str, object] | None, compile: bool) -> SavedModel:
    """Revive the model in a `.keras` file or folder."""
    config, weights, packed = _parts(path)
    size = weights.stat().st_size if isinstance(weights, Path) else weights.getbuffer().nbytes
    with allowance(allowed(size)), custom_object_scope(custom_objects):
        described = modern_object(parse_json(config, f"{CONFIG} of {str(path)!r}"))
        model = revive_model(described, None, compile)
        with open_file(weights, size=packed) as file:
            read_state(model, Places(file))
        if reads_assets(model):
            with _assets(path) as folder:
                load_assets(model, folder)
    return model


@contextmanager
def _assets(path: Path) -> Iterator[Path]:
    """The folder of assets of a `.keras` file or folder."""
    if path.is_dir():
        yield path / ASSETS
        return
    with _archive(path) as archive:
        names = archive.namelist()
        with unpacked(names, lambda name: _member(archive, name, None)) as folder:
            yield folder


@contextmanager
def weights_at(path: Path) -> Iterator[Places]:
    """The places of weights in the file at `path`, or inside a `.keras` file or folder."""
    with weights_file(path) as file:
        yield Places(file)


@contextmanager
def weights_file(path: Path) -> Iterator[Group]:
    """The open file of weights at `path`, or inside a `.keras` file or folder."""
    if path.suffix != ".keras":
        with open_file(path) as file:
            yield file
        return
    if path.is_dir():
        with open_file(path / WEIGHTS) as file:
            yield file
        return
    with _archive(path) as archive:
        weights, packed = _weights(archive)
    with open_file(weights, size=packed) as file:
        yield file


def descriptions(path: Path) -> tuple[Config, Config]:
    """The config and the metadata in a `.keras` file or folder."""
    if path.is_dir():
        texts = [(path / name).read_bytes() for name in (CONFIG, METADATA)]
    else:
        with _archive(path) as archive:
            texts = [_member(archive, name, _MAX_CONFIG_BYTES) for name in (CONFIG, METADATA)]
    config, metadata = (parse_json(text, f"{str(path)!r}") for text in texts)
    return config, metadata


def _parts(path: Path) -> tuple[bytes, io.BytesIO | Path, int]:
    """The config, the weights, and the bytes that the weights take on the disk."""
    if path.is_dir():
        config = path / CONFIG
        if config.stat().st_size > _MAX_CONFIG_BYTES:
            raise bad_file(str(config), "a config of absurd size")
        return config.read_bytes(), path / WEIGHTS, (path / WEIGHTS).stat().st_size
    with _archive(path) as archive:
        return _member(archive, CONFIG, _MAX_CONFIG_BYTES), *_weights(archive)


def _weights(archive: zipfile.ZipFile) -> tuple[io.BytesIO, int]:
    data = _member(archive, WEIGHTS, None)
    return io.BytesIO(data), archive.getinfo(WEIGHTS).compress_size


def _archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise bad_file(f"{str(path)!r}", f"no readable zip ({error})") from error


def _member(archive: zipfile.ZipFile, name: str, limit: int | None) -> bytes:
    """The bytes of a member, refused when it claims to expand to far more than it stores."""
    where = f"{name!r} in {archive.filename!r}"
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise ValueError(
            message(
                f"{archive.filename!r}",
                f"a zip with the member {name!r}",
                f"{archive.namelist()[:5]}",
                "Pass a file that `save` wrote.",
            )
        ) from error
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise bad_file(where, "a compression that Keras does not use")
    if archive.namelist().count(name) > 1:
        raise bad_file(where, "two members of that name")
    bomb = max(_FLOOR_BYTES, _MAX_EXPANSION * info.compress_size)
    if info.file_size > (bomb if limit is None else min(bomb, limit)):
        raise bad_file(where, f"{info.file_size} bytes from {info.compress_size} stored ones")
    try:
        return archive.read(info)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise bad_file(where, f"bytes that cannot be read ({error})") from error
    except Exception as error:  # zlib.error, lzma.LZMAError: no common base
        raise bad_file(where, f"a damaged stream ({error})") from error
