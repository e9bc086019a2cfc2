"""Error texts say what came, in its own words, and one thing to do."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

import densekit
from densekit._core.errors import message, unstopped

PACKAGE = Path(densekit.__file__).parent
VAGUE = {"something else", "others", "another", "wrong"}
NO_ACTION = {"-", "", "Change it.", "See its card.", "Mend it."}
STOPS = {".", ",", ";", ":", "!", "?"}


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
        else:
            ends = [*map(ending, arguments)]
            found += [f"{line}: ends in {end!r}" for end in ends[:3] if end in STOPS]
    return [*found, *doubled(source)]


def ending(text: ast.expr) -> str:
    """The last character of a text that is written out."""
    if isinstance(text, ast.JoinedStr) and text.values:
        text = text.values[-1]
    return str(text.value)[-1:] if isinstance(text, ast.Constant) else ""


def doubled(source: str) -> Iterator[str]:
    """Sentences that quote an error, and then have a full stop of their own."""
    tree = ast.parse(source)
    caught = {n.name for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler)} - {None}
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr):
            continue
        for part, after in itertools.pairwise(node.values):
            if not isinstance(part, ast.FormattedValue) or part.conversion == ord("r"):
                continue
            if ast.unparse(part.value).startswith("type("):  # a name
                continue
            named = {one.id for one in ast.walk(part) if isinstance(one, ast.Name)}
            text = str(after.value) if isinstance(after, ast.Constant) else ""
            if named & caught and text.lstrip(")")[:1] in STOPS and "unstopped" not in named:
                yield f"{node.lineno}: {ast.unparse(part)} may bring its own full stop"


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


def test_what_a_message_quotes_has_no_second_full_stop() -> None:
    inner = message("Dense", "units > 0", "-1", "Pass e.g. 2.")
    for got in (inner, f"text that cannot be read ({inner})", f"{inner[:-1]}"):
        text = message("Model.build", "a `call` that runs", got, "Call it on data.")
        assert "Pass e.g. 2. Call" in text or "Pass e.g. 2). Call" in text
    assert [unstopped(text) for text in ("a...", "[1. 2.]", "0.5")] == ["a...", "[1. 2.]", "0.5"]
    source = "try:\n  f()\nexcept ValueError as error:\n  warn(f'no: {error}. Go.')\n"
    assert len(faults(source)) == 1
    assert faults(source.replace("{error}", "{unstopped(str(error))}")) == []
