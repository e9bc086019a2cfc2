"""Files that layers keep beside their weights, such as vocabularies: ``save_assets`` to a folder.

A member of an archive is only ever written below the folder it is unpacked to.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from densekit.saving._h5 import bad_file
from densekit.saving._state import visit_all

ASSETS = "assets"


def save_assets(model: object, folder: Path) -> None:
    """Let every part of `model` that has a `save_assets` method write below `folder`."""
    for path, part in _owners(model, "save_assets"):
        own = folder / path
        own.mkdir(parents=True, exist_ok=True)
        part.save_assets(str(own))


def load_assets(model: object, folder: Path) -> None:
    """Let every part of `model` that has a `load_assets` method read what it wrote, if it did."""
    for path, part in _owners(model, "load_assets"):
        own = folder / path
        part.load_assets(str(own) if own.is_dir() else None)


def reads_assets(model: object) -> bool:
    """Whether some part of `model` has a `load_assets` method."""
    return any(True for _ in _owners(model, "load_assets"))


def files_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files below `folder`, each with its name in an archive."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield f"{ASSETS}/{path.relative_to(folder).as_posix()}", path


@contextmanager
def unpacked(names: Iterable[str], read: Callable[[str], bytes]) -> Iterator[Path]:
    """A folder with those members of an archive that are assets, gone afterwards.

    Raises:
        ValueError: for a name that leads out of the folder.
    """
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for name in names:
            if not name.startswith(f"{ASSETS}/") or name.endswith("/"):
                continue
            parts = PurePosixPath(name).parts[1:]
            if not parts or ".." in parts or "\\" in name or ":" in name or "\0" in name:
                raise bad_file(repr(name), "a name that leads elsewhere")
            target = root.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(read(name))
        yield root


def _owners(model: object, method: str) -> list[tuple[str, Any]]:
    return [(path, part) for path, part in visit_all(model) if hasattr(part, method)]
