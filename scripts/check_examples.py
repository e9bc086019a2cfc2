"""Run what the documentation shows: `make docs`.

- every example in a docstring of the package;
- every fenced ``python`` block of the pages: blocks of a page in order, in one namespace and one
  temporary directory; where a block has prompts, what they print is compared;
- every relative link, and every ``file`` and ``file:name`` of the architecture page.
"""

from __future__ import annotations

import doctest
import functools
import importlib
import pkgutil
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import densekit
from densekit._core.naming import reset_names

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
SOURCES = (ROOT, ROOT / "src" / "densekit", ROOT / "native")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

_FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_PATH = re.compile(r"`([\w./-]+\.(?:py|cpp|hpp|inl|md|toml|pyi))(?::(\w+))?`")


def docstrings() -> list[doctest.DocTest]:
    """The docstrings with examples, of every module."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    names = [m.name for m in pkgutil.walk_packages(densekit.__path__, "densekit.")]
    found: list[doctest.DocTest] = []
    for name in ["densekit", *names]:
        if not name.endswith("__main__"):
            found += finder.find(importlib.import_module(name), name)
    return [test for test in found if test.examples]


def blocks(page: Path) -> Iterator[tuple[int, str]]:
    """The Python blocks of a page, each with the number of its first line, from 0."""
    text = page.read_text("utf-8")
    for match in _FENCE.finditer(text):
        yield text.count("\n", 0, match.start(1)), match[1]


def run(test: doctest.DocTest) -> None:
    """Run an example; what differs is the text of the failure."""
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=FLAGS)
    runner.run(test, out=report.append, clear_globs=False)
    if report:
        pytest.fail("".join(report), pytrace=False)


def title(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def settings() -> tuple[Any, ...]:
    config = densekit.config
    return config.floatx(), config.epsilon(), config.dtype_policy().name, config.threads()


@pytest.fixture(autouse=True)
def _as_a_newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder of its own, fixed seeds, names counted from zero; settings are left as found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    densekit.utils.set_random_seed(0)
    reset_names()
    before = settings()
    yield
    assert settings() == before, "an example leaves other settings behind"


@pytest.mark.parametrize("example", docstrings(), ids=lambda test: test.name)
def test_docstring(example: doctest.DocTest) -> None:
    run(example)


@pytest.mark.parametrize("page", [p for p in PAGES if any(blocks(p))], ids=title)
def test_page(page: Path) -> None:
    module = types.ModuleType("__main__")  # where classes that a page defines live
    parser = doctest.DocTestParser()
    for line, block in blocks(page):
        if ">>>" in block:
            test = parser.get_doctest(block, {}, title(page), str(page), line)
            test.globs = module.__dict__
            run(test)
        else:
            exec(compile("\n" * line + block, str(page), "exec"), module.__dict__)


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_links(page: Path) -> None:
    targets = [t for t in _LINK.findall(page.read_text("utf-8")) if "://" not in t]
    missing = [t for t in targets if not (page.parent / t).exists()]
    assert not missing, missing


@functools.cache
def _text(path: Path) -> str:
    return path.read_text("utf-8")


def test_architecture_names_what_exists() -> None:
    page = ROOT / "ARCHITECTURE.md"
    references = _PATH.findall(page.read_text("utf-8"))
    assert references
    wrong = []
    for name, member in references:
        files = [base / name for base in SOURCES if (base / name).exists()]
        if not files or (member and not re.search(rf"\b{member}\b", _text(files[0]))):
            wrong.append(f"{name}:{member}")
    assert not wrong, wrong
