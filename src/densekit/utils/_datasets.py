"""Splitting data, and the triple (inputs, targets, weights)."""

from __future__ import annotations

from typing import Any

import numpy as np

from densekit._core import tree
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import Index


@export("keras.utils")
def pack_x_y_sample_weight(x: object, y: object = None, sample_weight: object = None) -> object:
    """`x`, ``(x, y)`` or ``(x, y, sample_weight)``.

    Example:

    >>> import densekit as keras
    >>> keras.utils.pack_x_y_sample_weight(1, 2)
    (1, 2)
    """
    if y is None:
        return (x,) if isinstance(x, list | tuple) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


@export("keras.utils")
def unpack_x_y_sample_weight(data: object) -> tuple[Any, Any, Any]:
    """``(x, y, sample_weight)`` of a tuple of up to three parts, None for missing ones.

    Args:
        data: what `train_step` gets: such a tuple, or `x` alone.

    Raises:
        ValueError: for a tuple of more than three.

    Example:

    >>> import densekit as keras
    >>> keras.utils.unpack_x_y_sample_weight((1, 2))
    (1, 2, None)
    """
    parts = tuple(data) if isinstance(data, list | tuple) else (data,)
    if len(parts) > 3:
        raise ValueError(
            message(
                "unpack_x_y_sample_weight",
                "x, (x, y) or (x, y, sample_weight)",
                f"{len(parts)} parts",
                "Nest several inputs in one list.",
            )
        )
    return (*parts, None, None)[:3]


@export("keras.utils")
def split_dataset(
    dataset: object,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Any, Any]:
    """Split arrays of equal length in two, e.g. for training and validation.

    Args:
        dataset: an array, or a nested structure of arrays with as many rows each.
        left_size: rows of the left part, a count or a share in [0, 1]. Default: the rest.
        right_size: rows of the right part likewise. Default: the rest.
        shuffle: whether rows are put in random order first. Default: ``False``.
        seed: of the order. Default: drawn.
        preferred_backend: kept for Keras' signature; the parts are arrays. Default: none.

    Raises:
        ValueError: for sizes that are missing, negative, or too large together.

    Example:

    >>> import densekit as keras, numpy as np
    >>> left, right = keras.utils.split_dataset(np.arange(5), left_size=0.6)
    >>> left.tolist(), right.tolist()
    ([0, 1, 2], [3, 4])
    """
    arrays = [np.asarray(leaf) for leaf in tree.flatten(dataset)]
    lengths = {len(array) for array in arrays}
    if len(lengths) != 1:
        raise ValueError(
            message("split_dataset", "as many rows each", f"{sorted(lengths)}", "Cut the arrays.")
        )
    rows = lengths.pop()
    left, right = _sizes(rows, left_size, right_size)
    order = np.arange(rows)
    if shuffle:
        np.random.default_rng(seed).shuffle(order)

    def part(index: Index) -> Any:
        return tree.pack_as(dataset, [array[index] for array in arrays])

    return part(order[:left]), part(order[rows - right :])


def _sizes(rows: int, left: float | None, right: float | None) -> tuple[int, int]:
    def count(size: float | None) -> int | None:
        if size is None:
            return None
        known = isinstance(size, int | float | np.integer) and size >= 0
        if not known or (isinstance(size, float) and size > 1):
            raise ValueError(
                message(
                    "split_dataset", "a count or a share in [0, 1]", describe(size), "Pass one."
                )
            )
        return round(size * rows) if isinstance(size, float) else int(size)

    n_left, n_right = count(left), count(right)
    if n_left is None and n_right is None:
        raise ValueError(
            message("split_dataset", "`left_size` or `right_size`", "neither", "Pass one.")
        )
    n_left = rows - (n_right or 0) if n_left is None else n_left
    n_right = rows - n_left if n_right is None else n_right
    if min(n_left, n_right) < 0 or n_left + n_right > rows:
        raise ValueError(
            message(
                "split_dataset", f"at most {rows} rows", f"{n_left} + {n_right}", "Ask for less."
            )
        )
    return n_left, n_right
