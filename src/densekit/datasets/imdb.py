"""50,000 reviews of films, good or bad, as numbers of words."""

from __future__ import annotations

import numpy as np

from densekit.datasets._fetching import Pair, arrays_of, kept, shuffled, words_by_name
from densekit.datasets._words import as_objects, frequent, marked, shorter

_HASH = "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"
_WORDS_HASH = "bfafd718b763782e994055a2d397834f"


def load_data(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int | None = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
) -> tuple[Pair, Pair]:
    """Reviews of films, fetched once: `(x_train, y_train), (x_test, y_test)`.

    Shapes: (25000,) each; `x` holds lists of numbers of words, from the most frequent on; `y` is 1
    for a good review, else 0. Numbers below `index_from` stand for no word.

    Args:
        path: name of the file in ``~/.keras/datasets``. Default: ``"imdb.npz"``.
        num_words: numbers from here on become `oov_char`. Default: none.
        skip_top: numbers below become `oov_char`. Default: 0.
        maxlen: reviews of so many numbers or more are left out. Default: none.
        seed: of the order of the reviews. Default: 113.
        start_char: what each review begins with, None for nothing. Default: 1.
        oov_char: what stands for words that are left out, None for nothing. Default: 2.
        index_from: what is added to the numbers of words. Default: 3.

    Raises:
        ValueError: if no review is shorter than `maxlen`.
        OSError: if it cannot be fetched.

    Example:

    >>> import densekit as keras
    >>> (x_train, y_train), _ = keras.datasets.imdb.load_data(num_words=10000)  # doctest: +SKIP

    Reference: A. Maas et al., "Learning word vectors for sentiment analysis", ACL 2011.
    """
    arrays = arrays_of(kept("imdb.npz", path, _HASH))
    draw = np.random.RandomState(seed)
    parts = []
    for part in ("train", "test"):
        texts, labels = shuffled(arrays[f"x_{part}"], arrays[f"y_{part}"], draw)
        parts.append(shorter(marked(texts, start_char, index_from), labels, maxlen))
    (train, y_train), (test, y_test) = parts
    texts_of_both = frequent(train + test, num_words, skip_top, oov_char)
    count = len(train)
    x_train, x_test = as_objects(texts_of_both[:count]), as_objects(texts_of_both[count:])
    return (x_train, y_train), (x_test, y_test)


def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """The number of each word, from 1 for the most frequent, without `index_from`.

    Args:
        path: name of the file in ``~/.keras/datasets``. Default: ``"imdb_word_index.json"``.

    Raises:
        OSError: if it cannot be fetched.

    Example:

    >>> import densekit as keras
    >>> keras.datasets.imdb.get_word_index()["the"]  # doctest: +SKIP
    1
    """
    return words_by_name("imdb_word_index.json", path, _WORDS_HASH)
