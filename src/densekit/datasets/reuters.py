"""11,228 pieces of news in 46 topics, as numbers of words."""

from __future__ import annotations

import numpy as np

from densekit.datasets._fetching import Pair, arrays_of, check_split, kept, shuffled, words_by_name
from densekit.datasets._words import as_objects, frequent, marked, shorter

_HASH = "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"
_WORDS_HASH = "4d44cc38712099c9e383dc6e5f11a921"
_TOPICS = (
    "cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves "
    "ship cotton carcass crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin "
    "strategic-metal livestock retail ipi iron-steel rubber heat jobs lei bop zinc orange "
    "pet-chem dlr gas silver wpi hog lead"
)


def load_data(
    path: str = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int | None = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
) -> tuple[Pair, Pair]:
    """Pieces of news, fetched once: `(x_train, y_train), (x_test, y_test)`.

    Shapes: (8982,) and (2246,) by default; `x` holds lists of numbers of words, from the most
    frequent on; `y` is a topic, 0 to 45: see `get_label_names`.

    Args:
        path: name of the file in ``~/.keras/datasets``. Default: ``"reuters.npz"``.
        num_words: numbers from here on become `oov_char`. Default: none.
        skip_top: numbers below become `oov_char`. Default: 0.
        maxlen: pieces of so many numbers or more are left out. Default: none.
        test_split: share that is the test set, ``0 <= test_split < 1``. Default: 0.2.
        seed: of the order of the pieces, in which they are split. Default: 113.
        start_char: what each piece begins with, None for nothing. Default: 1.
        oov_char: what stands for words that are left out, None for nothing. Default: 2.
        index_from: what is added to the numbers of words. Default: 3.

    Raises:
        ValueError: if no piece is shorter than `maxlen`, or for a `test_split` out of range.
        OSError: if it cannot be fetched.

    Example:

    >>> import densekit as keras
    >>> (x_train, y_train), _ = keras.datasets.reuters.load_data(num_words=10000)  # doctest: +SKIP

    Reference: D. Lewis, "Reuters-21578, Distribution 1.0", 1997.
    """
    check_split(test_split)
    arrays = arrays_of(kept("reuters.npz", path, _HASH))
    texts, labels = shuffled(arrays["x"], arrays["y"], np.random.RandomState(seed))
    numbers, labels = shorter(marked(texts, start_char, index_from), labels, maxlen)
    x = as_objects(frequent(numbers, num_words, skip_top, oov_char))
    count = int(len(x) * (1 - test_split))
    return (x[:count], labels[:count]), (x[count:], labels[count:])


def get_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """The number of each word, from 1 for the most frequent, without `index_from`.

    Args:
        path: name of the file in ``~/.keras/datasets``. Default: ``"reuters_word_index.json"``.

    Raises:
        OSError: if it cannot be fetched.

    Example:

    >>> import densekit as keras
    >>> keras.datasets.reuters.get_word_index()["the"]  # doctest: +SKIP
    1
    """
    return words_by_name("reuters_word_index.json", path, _WORDS_HASH)


def get_label_names() -> tuple[str, ...]:
    """The names of the topics, in the order of their numbers.

    Example:

    >>> import densekit as keras
    >>> keras.datasets.reuters.get_label_names()[3]
    'earn'
    """
    return tuple(_TOPICS.split())
