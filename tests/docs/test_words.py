"""Words of our own making stay away where the field has one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("src", "native", "docs", "tests", "benchmarks", "scripts", "examples")
ENDINGS = {".py", ".pyi", ".md", ".cpp", ".hpp", ".inl"}
# What a stranger would stumble over, and what the field says.
WORDS = {
    r"\b[Ss]urroundings\b": "captured state, or update pipeline",
    r"\btwins?\b": "reference kernel, or copy",
    r"\b(bell|rung)s?\b": "event count, notify",
    r"\blaws? of\b": "distribution",
    r"\bbent\b": "passed through an activation function",
    r"\bnobody tells\b": "write version",
    r"\bmeeting of the threads\b": "barrier",
    r"\blanes? of (the )?threads?\b": "worker",
    r"\btarget mass\b|'s mass\b": "target sum",
}


def texts() -> dict[str, str]:
    found = [p for place in PLACES for p in (ROOT / place).rglob("*") if p.suffix in ENDINGS]
    found += ROOT.glob("*.md")
    own = Path(__file__).resolve()
    return {
        p.relative_to(ROOT).as_posix(): p.read_text("utf-8")
        for p in found
        if p.resolve() != own and p.name != "CHANGELOG.md"
    }


def test_words_are_those_of_the_field() -> None:
    sources = texts()
    assert len(sources) > 500
    wrong = [
        f"{path}: {match[0]!r}, say {instead!r}"
        for path, text in sources.items()
        for word, instead in WORDS.items()
        if (match := re.search(word, text))
    ]
    assert wrong == []


@pytest.mark.parametrize("text", ["its twin", "laws of initial values", "a row's mass"])
def test_old_words_are_found(text: str) -> None:
    assert any(re.search(word, text) for word in WORDS)
