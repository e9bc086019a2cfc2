"""`validation_split`: the last rows are kept for validation."""

from __future__ import annotations

import math
from typing import Any

from densekit._core import tree
from densekit._core.errors import describe, message
from densekit.data._columns import as_array
from densekit.data._feeds import is_stream


def train_validation_split(x: Any, y: Any, sample_weight: Any, split: Any) -> tuple[Any, Any]:
    """``((x, y, w), (x, y, w))``: the first ``floor(n * (1 - split))`` rows and the others, as
    views.
    """
    if not isinstance(split, float | int) or not 0 <= split <= 1:  # written so that nan fails
        raise ValueError(
            message("`validation_split`", "a number in [0, 1)", describe(split), "Pass e.g. 0.2.")
        )
    if is_stream(x):
        raise ValueError(
            message(
                "`validation_split`",
                "arrays, whose last rows can be kept",
                f"{type(x).__name__}, which yields batches",
                "Pass `validation_data`.",
            )
        )
    names = ("x", "y", "sample_weight")
    data = tuple(
        tree.map_structure(lambda a, name=name: None if a is None else as_array(a, name), part)
        for name, part in zip(names, (x, y, sample_weight), strict=True)
    )
    first = next((leaf for leaf in tree.flatten(data) if leaf is not None), None)
    n = 0 if first is None else len(first)
    at = math.floor(n * (1.0 - split))
    if at in (0, n):
        raise ValueError(
            f"Training data contains {n} samples, which is not sufficient to split it into a "
            f"validation and training set as specified by `validation_split={split}`. Either "
            "provide more data, or a different value for the `validation_split` argument."
        )
    head, tail = (
        tree.map_structure(lambda a, part=part: None if a is None else a[part], data)
        for part in (slice(0, at), slice(at, n))
    )
    return head, tail
