"""The checker of examples can fail: each kind of mistake is refused."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def checker(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("scripts/check_examples.py")


def write(folder: Path, text: str) -> Path:
    page = folder / "page.md"
    page.write_text(text, "utf-8")
    return page


@pytest.mark.parametrize("wrong", [">>> 1 + 1\n3\n", ">>> 1 / 0\n", ">>> undefined\n0\n"])
def test_a_wrong_example_fails(checker: ModuleType, wrong: str) -> None:
    parser = doctest.DocTestParser()
    with pytest.raises(pytest.fail.Exception):
        checker.run(parser.get_doctest(wrong, {}, "wrong", None, 0))


def test_a_right_example_passes(checker: ModuleType) -> None:
    checker.run(doctest.DocTestParser().get_doctest(">>> 1 + 1\n2\n", {}, "right", None, 0))


def test_blocks_share_a_namespace_and_know_their_lines(
    checker: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checker, "ROOT", tmp_path)
    good = "# Page\n\n```python\na = 1\n```\n\n```sh\nmake\n```\n\n```python\n>>> a\n1\n```\n"
    page = write(tmp_path, good)
    assert [line for line, _ in checker.blocks(page)] == [3, 11]
    checker.test_page(page)
    with pytest.raises(pytest.fail.Exception, match=r"line 12\b"):
        checker.test_page(write(tmp_path, good.replace("\n1\n```", "\n2\n```")))
    with pytest.raises(AssertionError):
        checker.test_page(write(tmp_path, good.replace("a = 1", "assert False")))


def test_a_dead_link_fails(checker: ModuleType, tmp_path: Path) -> None:
    checker.test_links(write(tmp_path, "[self](page.md), [there](https://example.org)"))
    with pytest.raises(AssertionError, match=r"gone\.md"):
        checker.test_links(write(tmp_path, "[gone](gone.md#part)"))


def test_a_name_that_does_not_exist_fails(
    checker: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checker, "ROOT", tmp_path)
    page = tmp_path / "ARCHITECTURE.md"
    page.write_text("`layers/_dense.py:lower`", "utf-8")
    checker.test_architecture_names_what_exists()
    page.write_text("`layers/_dense.py:lift`", "utf-8")
    with pytest.raises(AssertionError, match="lift"):
        checker.test_architecture_names_what_exists()
