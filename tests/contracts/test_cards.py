"""Docstrings of public names are cards: a sentence, every argument and its default, an example."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import keras

from densekit._core import registry, rooms

rooms.load_all()
OWN = {"densekit.fit_many", "densekit.engines.register_engine", "densekit.export.register_format"}


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Classes and functions that Keras has under the same name, and those of our own."""
    met = set()
    for package in sorted(rooms._rooms):
        theirs = _of_keras(package)
        for name in importlib.import_module(package).__all__:
            component = getattr(importlib.import_module(package), name)
            is_ours = f"{package}.{name}" in OWN or registry.public_name(component) is not None
            if not callable(component) or id(component) in met:
                continue
            if is_ours or hasattr(theirs, name):
                met.add(id(component))
                yield f"{package}.{name}", component


def _of_keras(package: str) -> object:
    try:
        return importlib.import_module(package.replace("densekit", "keras"))
    except ImportError:
        return keras.Model  # which has none of our names


def parameters(component: Callable[..., Any]) -> list[inspect.Parameter]:
    call = component.__init__ if inspect.isclass(component) else component  # type: ignore[misc]
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    found = inspect.signature(call).parameters.values()
    return [p for p in found if p.name != "self" and p.kind not in variadic]


def gaps(component: Callable[..., Any], is_op: bool) -> list[str]:
    card = inspect.cleandoc(component.__doc__ or "")
    sentence = card.split("\n\n")[0]
    found = [] if re.match(r"[A-Z`<(0-9].*[.:]$", sentence, re.DOTALL) else ["a sentence"]
    if ">>> " not in card:
        found.append("an example")
    if is_op:
        return found
    text = re.sub(r"^>>>.*|^\.\.\. .*", "", card, flags=re.MULTILINE)
    entry = entries(card)
    for p in parameters(component):
        if not re.search(rf"\b{p.name}\b", text):
            found.append(p.name)
        elif p.default is not p.empty and "efault" not in entry.get(p.name, "default"):
            found.append(f"the default of {p.name}")
    return found


def entries(card: str) -> dict[str, str]:
    """What ``Args`` says, by parameter."""
    block = re.search(r"^Args:\n((?: {4}.*\n|\n)+)", card + "\n", re.MULTILINE)
    found = {}
    for entry in re.split(r"\n(?= {4}\S)", "\n" + block[1] if block else ""):
        names = re.match(r"\s*([\w`*, ]+):", entry)
        if names:
            found |= {name.strip("`*"): entry for name in re.split("[, ]+", names[1])}
    return found


def test_cards_are_whole() -> None:
    cards = dict(public())
    assert len(cards) > 600
    found = {name: gaps(card, name.startswith("densekit.ops.")) for name, card in cards.items()}
    assert {name: missing for name, missing in found.items() if missing} == {}


def test_gaps_are_found() -> None:
    def no_card(x: int) -> None: ...

    assert gaps(no_card, False) == ["a sentence", "an example", "x"]

    def half_a_card(x: int = 1) -> None:
        """A sentence.

        Args:
            x: a number.

        >>> 1
        1
        """

    assert gaps(no_card, True) == ["a sentence", "an example"]
    assert gaps(half_a_card, False) == ["the default of x"]
