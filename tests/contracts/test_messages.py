"""Error texts say what came, in its own words, and one thing to do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import densekit

PACKAGE = Path(densekit.__file__).parent
VAGUE = {"something else", "others", "another", "wrong"}
NO_ACTION = {"-", "", "Change it.", "See its card.", "Mend it."}


def messages(source: str) -> Iterator[tuple[int, list[ast.expr]]]:
    """Line and arguments of each `message(where, expected, got, action)`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "message":
            yield node.lineno, node.args


def faults(source: str) -> list[str]:
    found = []
    for line, arguments in messages(source):
        texts = [one.value if isinstance(one, ast.Constant) else None for one in arguments]
        if len(arguments) != 4:
            found.append(f"{line}: takes where, expected, got, action")
        elif texts[2] in VAGUE:
            found.append(f"{line}: {texts[2]!r} does not say what came")
        elif texts[3] in NO_ACTION:
            found.append(f"{line}: {texts[3]!r} is nothing to do")
    return found


def test_errors_say_what_came_and_what_to_do() -> None:
    sources = {p.relative_to(PACKAGE): p.read_text("utf-8") for p in PACKAGE.rglob("*.py")}
    assert sum(len(list(messages(source))) for source in sources.values()) > 500
    wrong = {str(path): faults(source) for path, source in sources.items() if faults(source)}
    assert wrong == {}


@pytest.mark.parametrize(
    "text", ["'something else', 'Pass one.'", "'1', 'Change it.'", "'1', '-'", "'1'"]
)
def test_vague_ones_are_found(text: str) -> None:
    assert len(faults(f"message('Dense', '`units` > 0', {text})")) == 1
    assert faults("message('Dense', '`units` > 0', '-1', 'Pass e.g. 2.')") == []
