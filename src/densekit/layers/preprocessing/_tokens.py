"""Texts to tokens: written alike, split, combined, padded to one length.

Letters and white space are those of ASCII, as in TensorFlow, so that vocabularies are Keras'.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from densekit._core.errors import describe, message
from densekit._core.text import as_strings
from densekit._core.types import Array

Step = str | Callable[[Array], Any] | None
Rows = Sequence[Sequence[str]]

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_NOTHING = dict.fromkeys(map(ord, string.punctuation))
_TABLES: dict[str, dict[int, Any]] = {
    "lower": _LOWER,
    "strip_punctuation": _NOTHING,
    "lower_and_strip_punctuation": _LOWER | _NOTHING,
}
_WORDS = re.compile(r"[^ \t\n\r\v\f]+")

STANDARDIZATIONS = tuple(_TABLES)
SPLITS = ("whitespace", "character")


def standardized(texts: Array, how: Step, where: str) -> Array:
    """Texts in one way of writing; `how` is a name or a function of an array of strings."""
    if how is None:
        return texts
    if callable(how):
        result = as_strings(how(texts), where)
        if result.shape != texts.shape:
            raise ValueError(
                message(
                    f"{where} `standardize`",
                    f"strings of shape {texts.shape}",
                    f"shape {result.shape}",
                    "Return one string for each.",
                )
            )
        return result
    table = _TABLES[how]
    return _as_array([str(text).translate(table) for text in texts.ravel()], texts.shape)


def split(texts: Array, how: str | Callable[[Array], Any], where: str) -> list[list[str]]:
    """The tokens of each text; `how` is a name or a function of an array with one axis."""
    if how == "whitespace":
        return [_WORDS.findall(str(text)) for text in texts]
    if how == "character":
        return [list(str(text)) for text in texts]
    assert callable(how)
    rows = [as_strings(row, where).ravel().tolist() for row in how(texts)]
    if len(rows) != len(texts):
        raise ValueError(
            message(
                f"{where} `split`",
                f"a list of tokens for each of {len(texts)} texts",
                describe(rows),
                "Return one list for each.",
            )
        )
    return rows


def combined(rows: Rows, widths: Sequence[int]) -> list[list[str]]:
    """Runs of so many tokens of each row, with blanks between, all of one width first."""
    return [
        [" ".join(row[i : i + n]) for n in widths for i in range(len(row) - n + 1)] for row in rows
    ]


def padded(rows: Rows, length: int | None = None) -> Array:
    """Rows of tokens as an array, cut or filled with ``""`` to `length`; None: to the longest."""
    if length is None:
        length = max(map(len, rows), default=0)
    full = [token for row in rows for token in [*row[:length], *[""] * (length - len(row))]]
    return _as_array(full, (len(rows), length))


def _as_array(strings: list[str], shape: tuple[int, ...]) -> Array:
    return np.array(strings or [], str).reshape(shape)
