"""How often tokens occur, and in how many documents: what a vocabulary is made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from densekit._core.types import Array

Token = str | int


class TokenCounts:
    """Counts of tokens, row by row; a row is a document."""

    def __init__(self) -> None:
        self._tokens: Counter[Token] = Counter()
        self._documents: Counter[Token] = Counter()
        self._rows = 0

    def add(self, rows: Array, of_documents: bool) -> None:
        """Count the tokens of rows more, and if asked for the rows that have each."""
        self._tokens.update(rows.ravel().tolist())
        if of_documents:
            for row in rows:
                self._documents.update(set(row.ravel().tolist()))
            self._rows += len(rows)

    def has_any(self, unless: Collection[object]) -> bool:
        """Whether a token was counted."""
        return any(token not in unless for token in self._tokens)

    def most_frequent(self, most: int | None, unless: Collection[object]) -> list[Token]:
        """The tokens, the most frequent and then the last in order first; no more than `most`."""
        counted = [item for item in self._tokens.items() if item[0] not in unless]
        counted.sort(key=lambda item: (item[1], item[0]), reverse=True)
        return [token for token, _ in counted[:most]]

    def inverse_document_frequencies(self, tokens: Sequence[Token]) -> Array:
        """``log(1 + rows / (1 + rows that have the token))`` for each."""
        seen = np.array([self._documents[token] for token in tokens], float)
        found: Array = np.log1p(self._rows / (1 + seen))
        return found
