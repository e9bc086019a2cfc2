"""What import-linter cannot see: the compiled module belongs to one file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import densekit

PACKAGE = Path(densekit.__file__).parent


def imported_names(source: str) -> Iterator[str]:
    """Every dotted name that `source` imports, each member of a ``from`` import on its own."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_only_the_native_engine_imports_the_native_module() -> None:
    importers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(name.startswith("densekit._native") for name in imported_names(path.read_text()))
    }
    assert importers == {"engines/native.py"}
