"""What loading may raise: for a file that is damaged or hostile ValueError and TypeError alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from densekit._core.errors import message

# About the path or the installation, not about what the file holds.
_AS_THEY_ARE = (
    *(ValueError, TypeError, ImportError, MemoryError, Warning),
    *(FileNotFoundError, PermissionError, IsADirectoryError),
)


@contextmanager
def damage_as_value_error(path: Path) -> Iterator[None]:
    """Turn what libraries raise about the content of a file into a ValueError that names it."""
    try:
        yield
    except _AS_THEY_ARE:
        raise
    except Exception as error:
        what = "endless nesting" if isinstance(error, RecursionError) else str(error)
        raise ValueError(
            message(
                f"file {str(path)!r}",
                "an intact file of a model",
                f"one that raises {type(error).__name__}: {what}",
                "Save the model again.",
            )
        ) from error
