"""Texts as lists of the numbers of their words, by how often each occurs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from densekit._core.errors import message
from densekit._core.types import Array

Texts = list[list[int]]


def marked(texts: Iterable[Iterable[int]], start_char: int | None, index_from: int | None) -> Texts:
    """Texts that begin with `start_char`, numbers raised by `index_from` to make room for it."""
    first = [] if start_char is None else [start_char]
    above = index_from or 0
    return [[*first, *(int(word) + above for word in text)] for text in texts]


def shorter(texts: Texts, labels: Array, maxlen: int | None) -> tuple[Texts, Array]:
    """The texts with less than `maxlen` numbers, and their labels."""
    kept = [i for i, text in enumerate(texts) if not maxlen or len(text) < maxlen]
    if maxlen and not kept:
        longest = min(map(len, texts), default=0)
        raise ValueError(
            message(
                "load_data",
                f"a `maxlen` above the shortest text's length, {longest}",
                f"{maxlen}",
                "Pass more.",
            )
        )
    return [texts[i] for i in kept], labels[kept]


def frequent(texts: Texts, num_words: int | None, skip_top: int, oov_char: int | None) -> Texts:
    """Texts in which words that are too seldom, or too frequent, are `oov_char`; None: left out."""
    end = num_words or max(max(text) for text in texts)
    if oov_char is None:
        return [[w for w in text if skip_top <= w < end] for text in texts]
    return [[w if skip_top <= w < end else oov_char for w in text] for text in texts]


def as_objects(texts: Texts) -> Array:
    """An array of lists."""
    found = np.empty(len(texts), object)
    for i, text in enumerate(texts):
        found[i] = text
    return found
