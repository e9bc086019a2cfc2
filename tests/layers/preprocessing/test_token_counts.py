"""Counts of tokens: the order of frequency, what is left out, and document frequencies."""

from __future__ import annotations

import numpy as np

from densekit.layers.preprocessing._token_counts import TokenCounts


def counted() -> TokenCounts:
    counts = TokenCounts()
    counts.add(np.array([["a", "b", "b"], ["c", "b", ""]]), of_documents=True)
    counts.add(np.array([["a", "", ""]]), of_documents=True)
    return counts


def test_the_most_frequent_come_first_and_of_equals_the_last_in_order() -> None:
    counts = counted()
    assert counts.most_frequent(None, unless=("",)) == ["b", "a", "c"]
    assert counts.most_frequent(2, unless=()) == ["b", ""]
    counts.add(np.array([["c"]]), of_documents=False)
    assert counts.most_frequent(None, unless=("", None)) == ["b", "c", "a"]


def test_whether_there_is_anything() -> None:
    assert not TokenCounts().has_any(unless=())
    assert counted().has_any(unless=("a", "b"))
    assert not counted().has_any(unless=("a", "b", "c", ""))


def test_rare_tokens_weigh_more() -> None:
    weights = counted().inverse_document_frequencies(["a", "c", "z"])
    np.testing.assert_allclose(weights, np.log1p([3 / 3, 3 / 2, 3 / 1]))
