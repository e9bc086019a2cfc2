"""What Keras' sources say of themselves, read without importing them."""

from __future__ import annotations

import ast
import contextlib
import functools
from collections import defaultdict
from pathlib import Path
from typing import Any


def public_names(api: Path) -> dict[str, dict[str, list[str]]]:
    """For each module of Keras' sources its names with their public paths."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for file in api.rglob("__init__.py"):
        room = ".".join(file.parent.relative_to(api).parts)
        if room.startswith("_tf_keras"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                for alias in node.names:
                    public = f"{room}.{alias.asname or alias.name}".strip(".")
                    found[node.module][alias.name].append(public)
    return found


@functools.cache
def constants(module: Path) -> dict[str, Any]:
    """The plain values that a module of Keras' sources gives a name: lists of types, bounds."""
    file = module.with_suffix(".py")
    found: dict[str, Any] = {}
    for node in ast.parse(file.read_text()).body if file.exists() else ():
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            with contextlib.suppress(ValueError):
                found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


@functools.cache
def init_arguments(file: Path) -> dict[str, list[str]]:
    """The constructors' arguments of the operations in a module of Keras' sources."""
    found: dict[str, list[str]] = {}
    if not file.exists():
        return found
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef):
            init = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
            bases = [found[b.id] for b in node.bases if isinstance(b, ast.Name) and b.id in found]
            own = [[a.arg for a in n.args.args[1:] + n.args.kwonlyargs] for n in init]
            found[node.name] = (own or bases or [[]])[0]
    return found
