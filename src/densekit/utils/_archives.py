"""Archives, of which nothing leaves the folder they are extracted to."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from densekit._core.errors import describe, message
from densekit._core.frames import warn
from densekit.saving._atomic import scratch_folder

_AUTO = ("tar", "zip")


def extract(archive: Path, folder: Path, formats: str | Sequence[str] | None) -> bool:
    """Extract an archive to `folder`, where all of it appears at once; False if it is none.

    Members that would lie outside are left out, with a warning.

    Args:
        formats: ``"auto"``, ``"tar"`` (compressed or not), ``"zip"``, or a list of them.
    """
    if formats is None:
        return False
    for kind in _AUTO if formats == "auto" else [formats] if isinstance(formats, str) else formats:
        if kind not in _AUTO:
            raise NotImplementedError(
                message("get_file", f"one of {_AUTO} as format", describe(kind), "Pass one.")
            )
        matches = tarfile.is_tarfile if kind == "tar" else zipfile.is_zipfile
        if matches(archive):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with scratch_folder(folder) as scratch:
                inside = scratch / "content"
                inside.mkdir()
                (_extract_tar if kind == "tar" else _extract_zip)(archive, inside)
                if folder.exists():
                    shutil.copytree(inside, folder, symlinks=True, dirs_exist_ok=True)
                else:
                    inside.rename(folder)
            return True
    return False


def _extract_tar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar:
            try:
                tar.extract(member, folder, filter="data")
            except tarfile.FilterError:
                _left_out(member.name)


def _extract_zip(archive: Path, folder: Path) -> None:
    root = folder.resolve()
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            if (root / member.filename).resolve().is_relative_to(root):
                file.extract(member, folder)
            else:
                _left_out(member.filename)


def _left_out(name: str) -> None:
    warn(
        message(
            "get_file",
            "members inside of the archive's folder",
            describe(name),
            "It is left out; do not trust the archive.",
        ),
        UserWarning,
    )
