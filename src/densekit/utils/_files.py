"""Files from elsewhere, fetched once and kept."""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

from densekit._core.console import write
from densekit._core.errors import describe, message
from densekit._core.frames import warn
from densekit._core.registry import export
from densekit.callbacks._progbar import Progbar
from densekit.saving._atomic import replacing
from densekit.utils._archives import extract as extract_archive

_CHUNK = 1 << 16
_SHA256_DIGITS = 64


@export("keras.utils")
def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | os.PathLike[str] | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | Sequence[str] | None = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """The path of a file that is fetched from `origin` unless it is there already.

    It appears whole or not at all: not before its hash is that expected.

    Args:
        fname: name to keep it by. Default: the last part of `origin`.
        origin: ``http://``, ``https://`` or ``file://`` address, or a path. Default: none.
        untar: like `extract`, of a tar archive. Default: ``False``.
        md5_hash: MD5 expected, in hexadecimal digits. Default: none.
        file_hash: hash expected, SHA-256 or MD5. Default: none.
        cache_subdir: folder in `cache_dir`. Default: ``"datasets"``.
        hash_algorithm: ``"sha256"``, ``"md5"``, or ``"auto"``: by the length of the hash. Default:
            ``"auto"``.
        extract: whether to extract the archive; then the path is that of the folder. Default:
            ``False``.
        archive_format: ``"auto"``, ``"tar"``, ``"zip"``, a list of them, or None. Default:
            ``"auto"``.
        cache_dir: where files are kept. Default: the environment variable ``KERAS_HOME``, else
            ``~/.keras``.
        force_download: whether to fetch it anyway. Default: ``False``.

    Raises:
        ValueError: without `origin`, for a path as `fname`, or another hash than expected.
        OSError: if the file cannot be fetched.

    Example:

    >>> import densekit as keras, pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "rows.csv").write_text("1,2")
    >>> path = keras.utils.get_file(origin=(folder / "rows.csv").as_uri(), cache_dir=folder)
    Downloading data from file://...
    >>> pathlib.Path(path).relative_to(folder).as_posix()
    'datasets/rows.csv'
    """
    if origin is None:
        raise ValueError(message("get_file", "`origin`", "None", "Pass an address or a path."))
    origin = os.fspath(origin)
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    name = _name_of(fname, origin)
    folder = _cache(cache_dir) / cache_subdir
    folder.mkdir(parents=True, exist_ok=True)
    target, extracted = folder / name, folder / name
    if extract or untar:
        stem = name.partition(".")[0]
        if fname and stem != name:
            extracted = folder / f"{stem}_extracted"
        else:
            target = folder / f"{name}_archive"

    kept = target.exists() and not force_download
    if kept and file_hash and not _has_hash(target, file_hash, hash_algorithm):
        write(f"{target} is not the file expected by its hash: it is fetched again.")
        kept = False
    if not kept:
        write(f"Downloading data from {origin}")
        with replacing(target) as temporary:
            _fetch(origin, temporary)
            if file_hash and not _has_hash(temporary, file_hash, hash_algorithm):
                raise ValueError(
                    message(
                        f"get_file({origin!r})",
                        f"a file with the {hash_algorithm} hash {file_hash}",
                        "one of another hash",
                        "It was changed, or not fetched whole; nothing is kept.",
                    )
                )
    if not (extract or untar):
        return str(target)
    if not extract_archive(target, extracted, "tar" if untar else archive_format):
        warn(
            message("get_file", "an archive", f"{target}", "It is not extracted."),
            UserWarning,
        )
    return str(extracted)


def _name_of(fname: str | os.PathLike[str] | None, origin: str) -> str:
    name = os.fspath(fname) if fname else os.path.basename(urlsplit(origin).path)
    if not name or os.sep in name or name in (".", ".."):
        raise ValueError(
            message(
                "get_file",
                "a name without folders as `fname`",
                describe(fname or origin),
                "Name the folder by `cache_dir` and `cache_subdir`.",
            )
        )
    return name


def _cache(given: str | os.PathLike[str] | None) -> Path:
    """The folder of kept files; one for temporary files if it cannot be written to."""
    home = given or os.environ.get("KERAS_HOME") or Path("~", ".keras")
    folder = Path(home).expanduser()
    exists = next(place for place in (folder, *folder.parents) if place.exists())
    return folder if os.access(exists, os.W_OK) else Path(tempfile.gettempdir(), ".keras")


def _has_hash(path: Path, expected: str, algorithm: str) -> bool:
    if algorithm == "auto":
        algorithm = "sha256" if len(expected) == _SHA256_DIGITS else "md5"
    if algorithm not in ("sha256", "md5"):
        raise ValueError(
            message(
                "get_file", "'auto', 'sha256' or 'md5' as `hash_algorithm`", describe(algorithm),
                "Pass one.",
            )
        )  # fmt: skip
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return hmac.compare_digest(found.hexdigest(), expected.lower())


def _fetch(origin: str, target: Path) -> None:
    parts = urlsplit(origin)
    with target.open("wb") as file:
        if parts.scheme in ("http", "https"):
            _download(origin, file)
            return
        local = parts.scheme == "file" and parts.netloc in ("", "localhost")
        if not local and "://" in origin:
            raise ValueError(
                message(
                    "get_file",
                    "a path, or an address of http, https or file",
                    describe(origin),
                    "Fetch it by other means and pass its path.",
                )
            )
        with open(url2pathname(parts.path) if local else origin, "rb") as source:
            shutil.copyfileobj(source, file)


def _download(origin: str, file: BinaryIO) -> None:
    from urllib.request import urlopen  # slow to load, and a download alone needs it

    with urlopen(origin) as answer:
        length = answer.headers.get("Content-Length", "")
        total = int(length) if length.isdigit() else None
        bar, done = Progbar(total), 0
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            done += len(chunk)
            bar.update(done)
    if total is not None and done != total:
        raise OSError(
            message(f"get_file({origin!r})", f"{total} bytes", f"{done}", "Try once more.")
        )
