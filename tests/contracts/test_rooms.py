"""What import-linter cannot see: one importer of the compiled module, and cycles in disguise."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import densekit
from densekit._core import rooms

PACKAGE = Path(densekit.__file__).parent
# Counters of the process, which are no components.
REBOUND = {
    "_core/assignments.py": {"_count"},
    "_core/masks.py": {"in_use"},
    "_core/thread_seeds.py": {"_of_main"},
}
# By names in tables of their own, or those of scripts.
MAY_LOAD = {"_core/dtype_policy.py", "_core/rooms.py", "engines/kinds.py", "compat/_importing.py"}
# What no room imports may ask the whole package, or change classes: they are there for scripts.
FOR_SCRIPTS = ("compat/",)
# The look-up of components by name, which is how configs and files name them.
BY_NAME = ("_core/", "saving/")


def sources() -> dict[str, str]:
    """The text of every file of the package, by its path."""
    return {p.relative_to(PACKAGE).as_posix(): p.read_text() for p in PACKAGE.rglob("*.py")}


SOURCES = sources()


def imports(source: str) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports of a file that run: not those for type checkers alone."""
    tree = ast.parse(source)
    never_run = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in never_run:
            yield node


def asked_names(source: str) -> Iterator[str]:
    """Every dotted name that `source` imports, each member of a ``from`` import on its own."""
    for node in imports(source):
        of = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        yield from (f"{of}{alias.name}" for alias in node.names)


def test_only_the_native_engine_imports_the_native_module() -> None:
    importers = {
        path
        for path, source in SOURCES.items()
        if any(name.startswith("densekit._native") for name in asked_names(source))
    }
    assert importers == {"engines/native.py"}


# Cycles in disguise


def module_of(path: str) -> str:
    return ".".join(("densekit", *path.removesuffix(".py").split("/"))).removesuffix(".__init__")


MODULES = {module_of(path): path for path in SOURCES}


@cache
def files_of_room(package: str) -> dict[str, str]:
    """The module that each name of a room lives in; {} for what is no room."""
    importlib.import_module(package)
    room = rooms._rooms.get(package)
    if room is None:
        return {}
    named = {
        name: file if "." in file else f"{package}.{file}" for name, file in room._files.items()
    }
    return named | {file: f"{package}.{file}" for file in room._public_files}


def home(dotted: str) -> str | None:
    """The module that a dotted name means: a file, or the file of a name of a lazy room."""
    package, _, name = dotted.rpartition(".")
    found = files_of_room(package).get(name) if package in MODULES else None
    if found is not None and found != dotted and files_of_room(found):
        return home(f"{found}.{name}")  # a room that lists a name of another
    module = next((m for m in (found, dotted, package) if m in MODULES), None)
    return None if module is None or files_of_room(module) else module


class Uses(ast.NodeVisitor):
    """Modules that a file uses while the program runs: imports, wherever they stand, and names
    asked of a lazy room.
    """

    def __init__(self, source: str) -> None:
        self.found: set[str] = set()
        self._rooms: dict[str, str] = {}  # local names of rooms
        self.visit(ast.parse(source))

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            for other in node.orelse:
                self.visit(other)
        else:
            self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:  # annotations are never evaluated
            self.visit(node.value)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for part in (*node.decorator_list, *node.args.defaults, *node.body):
            self.visit(part)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name in MODULES:
                found = home(alias.name)
                self.found |= set() if found is None else {found}
                name = alias.name if alias.asname else "densekit"
                self._rooms[alias.asname or name] = name

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            dotted = f"{node.module}.{alias.name}"
            if dotted in MODULES and files_of_room(dotted):
                self._rooms[alias.asname or alias.name] = dotted
            found = home(dotted)
            if found is not None:
                self.found.add(found)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name) and node.value.id in self._rooms:
            found = home(f"{self._rooms[node.value.id]}.{node.attr}")
            if found is not None:
                self.found.add(found)
        self.generic_visit(node)


def circles(uses: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules each of which leads to every other of its group (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in sorted(uses.get(module, ())):
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            group = [stack.pop()]
            while group[-1] != module:
                group.append(stack.pop())
            if len(group) > 1 or module in uses.get(module, ()):
                found.append(sorted(group))

    for module in uses:
        if module not in index:
            visit(module)
    return found


def test_no_module_leads_back_to_itself() -> None:
    uses = {
        module: Uses(SOURCES[path]).found - {module}
        for module, path in MODULES.items()
        if not files_of_room(module)
    }
    assert sum(map(len, uses.values())) > len(uses)  # it has seen something
    assert circles(uses) == []


def asked_rooms(source: str) -> Iterator[str]:
    """Packages that a file asks for names while the program runs."""
    for node in imports(source):
        for name in asked_names(ast.unparse(node)) if isinstance(node, ast.ImportFrom) else ():
            is_file = name in MODULES or name == "densekit._native"
            yield name if is_file else name.rpartition(".")[0]


def test_no_file_asks_the_room_it_is_in() -> None:
    """A neighbour is imported by its file, so that the order of the files can be read."""
    asking = {
        path
        for module, path in MODULES.items()
        for room in asked_rooms(SOURCES[path])
        if not path.endswith("__init__.py") and module.startswith(f"{room}.")
    }
    # The operators of symbolic tensors are the ops: their room puts them there.
    assert asking == {"ops/_operators.py"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from densekit import models\nmodels.Sequential", "densekit.models._sequential"),
        ("from densekit.models import Sequential", "densekit.models._sequential"),
        ("def f():\n    from densekit.models._graph import run", "densekit.models._graph"),
        ("from densekit import saving\nsaving.save_model", "densekit.saving._api"),
        ("from densekit.engines import rows", "densekit.engines.rows"),
    ],
)
def test_disguises_are_seen(source: str, expected: str) -> None:
    assert expected in Uses(source).found


def test_what_type_checkers_read_alone_is_no_use() -> None:
    assert not Uses("if TYPE_CHECKING:\n    from densekit.models._graph import run").found
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c"]]


def test_nothing_is_bound_anew_behind_the_rooms() -> None:
    wrong = []
    for path, source in SOURCES.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Global) and set(node.names) - REBOUND.get(path, set()):
                wrong.append((path, node.lineno, "a global name is bound anew"))
            is_bases = isinstance(node, ast.Attribute) and node.attr == "__bases__"
            if is_bases and not isinstance(node.ctx, ast.Load):
                wrong.append((path, node.lineno, "a class gets other bases"))
            if not isinstance(node, ast.Call):
                continue
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if called in ("globals", "import_module") and path not in MAY_LOAD:
                wrong.append((path, node.lineno, f"`{called}`"))
            if called in ("if_loaded", "builtin") and not path.startswith(BY_NAME):
                wrong.append((path, node.lineno, "a component is asked for by name"))
    assert wrong == []


def whole_packages(source: str) -> Iterator[str]:
    """Packages that a file imports as one object: what it asks of them cannot be followed."""
    for node in imports(source):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] == "densekit")


def test_no_file_imports_the_package_as_a_whole() -> None:
    whole = {path for path, source in SOURCES.items() if any(whole_packages(source))}
    # `config.show()` asks for the version, which is the package's.
    assert {path for path in whole if not path.startswith(FOR_SCRIPTS)} == {"config.py"}


def changes_elsewhere(source: str) -> Iterator[str]:
    """Attributes that a file sets on classes and modules that it imports: names that their own file
    does not show.
    """
    tree = ast.parse(source)
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("densekit")
        for alias in node.names
    }
    for node in ast.walk(tree):
        target: ast.AST | None = None
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            target = node.value
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("setattr", "delattr"):
            target = node.args[0]
        if isinstance(target, ast.Name) and target.id in imported:
            yield ast.unparse(node)


def test_no_file_changes_what_another_defines() -> None:
    changing = {path for path, source in SOURCES.items() if any(changes_elsewhere(source))}
    # Operators of symbolic tensors are the ops, which are made of these tensors.
    assert {p for p in changing if not p.startswith(FOR_SCRIPTS)} == {"ops/_operators.py"}


def test_modules_are_not_looked_up_once_loaded() -> None:
    """Only the table of rooms asks for modules of ours in `sys.modules`."""
    wrong = set()
    for path, source in SOURCES.items():
        for node in ast.walk(ast.parse(source)):
            asked: ast.AST | None = None
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "sys.modules":
                asked = node.slice
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "sys.modules.get":
                asked = node.args[0]
            if isinstance(asked, ast.Constant) and str(asked.value).startswith("densekit"):
                wrong.add(path)
            if isinstance(node, ast.Name) and node.id == "__import__":
                wrong.add(path)
    assert wrong == set()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from densekit.models import Model\nModel.fit = print", ["Model.fit"]),
        ("from densekit._core import settings\nsetattr(settings, 'x', 1)", ["setattr"]),
        ("from densekit.models import Model\nclass Own(Model):\n    fit = print", []),
    ],
)
def test_changes_are_seen(source: str, expected: list[str]) -> None:
    found = list(changes_elsewhere(source))
    assert [text.startswith(name) for text, name in zip(found, expected, strict=True)] == [
        True for _ in expected
    ]


def test_whole_packages_are_seen() -> None:
    assert list(whole_packages("import densekit as keras, numpy")) == ["densekit"]
