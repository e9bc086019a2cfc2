"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it takes the place of `path`.

    A failure inside the block, or a crash of the process, leaves what was at `path` before. What
    killed processes have left there is cleared.
    """
    target = Path(path)
    _clear_of_dead(target)
    handle, name = tempfile.mkstemp(prefix=_prefix(target), suffix=_SUFFIX, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # else a crash of the machine could leave an empty file
        _set_usual_mode(temporary, target)
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


@contextmanager
def scratch_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`, gone afterwards."""
    target = Path(path)
    _clear_of_dead(target)
    prefix = _prefix(target)
    with tempfile.TemporaryDirectory(prefix=prefix, suffix=_SUFFIX, dir=target.parent) as folder:
        yield Path(folder)


_SUFFIX = ".tmp"


def _prefix(target: Path) -> str:
    """The name says whose file it is: machine and process."""
    return f".{target.name}.{_machine()}.{os.getpid()}."


def _machine() -> str:
    """A short mark of the machine, or of the container whose processes can be asked for."""
    mark = platform.node()
    with suppress(OSError):
        mark += str(os.stat("/proc/self/ns/pid").st_ino)
    return f"{zlib.crc32(mark.encode()):08x}"


def _clear_of_dead(target: Path) -> None:
    """Remove temporary files for `target` that processes of this machine left when they died."""
    name = re.escape(target.name)
    pattern = re.compile(rf"\.{name}\.{_machine()}\.(\d+)\.\w+{re.escape(_SUFFIX)}")
    with suppress(OSError):
        for entry in os.scandir(target.parent):
            match = pattern.fullmatch(entry.name)
            if match is None or _lives(int(match[1])):
                continue
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)


def _lives(process: int) -> bool:
    """Whether a process of that number runs; when in doubt it does."""
    if os.name != "posix":  # elsewhere the question itself ends processes
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _set_usual_mode(temporary: Path, target: Path) -> None:
    """Give the file the rights of the one it replaces, or those `open` would have given it."""
    if target.exists():
        mode = target.stat().st_mode & 0o777
    else:
        mask = os.umask(0)
        os.umask(mask)
        mode = 0o666 & ~mask
    with suppress(OSError):
        temporary.chmod(mode)
