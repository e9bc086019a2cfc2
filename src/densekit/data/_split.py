"""`validation_split`: the last rows are kept for validation."""

from __future__ import annotations

import math

from densekit._core import tree
from densekit._core.errors import describe, message
from densekit._core.types import Array
from densekit.data._arrays import SparseRows, as_arrays
from densekit.data._columns import Triple
from densekit.data._feeds import is_stream


def train_validation_split(
    x: object, y: object, sample_weight: object, split: object, dtype: str, text: bool = False
) -> tuple[Triple, Triple]:
    """``((x, y, w), (x, y, w))``: the first ``floor(n * (1 - split))`` rows and the others, as
    views.

    Args:
        dtype: type of the numbers where tables must be converted.
        text: whether columns of `x` may hold strings.
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
    x = as_arrays(x, "x", dtype, text=text)
    first = next((leaf for leaf in tree.flatten(x) if leaf is not None), None)
    n = 0 if first is None else len(first)

    def beside(part: object, what: str) -> object:
        # A list of n lists of numbers is one array; of other lengths, one for each output.
        count = len(part) if isinstance(part, list | tuple) else n
        return as_arrays(part, what, dtype, 1 if count == n else count)

    data = x, beside(y, "y"), beside(sample_weight, "sample_weight")
    at = math.floor(n * (1.0 - split))
    if at in (0, n):
        raise ValueError(
            f"Training data contains {n} samples, which is not sufficient to split it into a "
            f"validation and training set as specified by `validation_split={split}`. Either "
            "provide more data, or a different value for the `validation_split` argument."
        )

    def part(rows: slice) -> Triple:
        def cut(column: Array | SparseRows) -> Array | SparseRows:
            return column.part(rows) if isinstance(column, SparseRows) else column[rows]

        parts: Triple = tree.map_structure(lambda a: None if a is None else cut(a), data)
        return parts

    head, tail = part(slice(0, at)), part(slice(at, n))
    return head, tail
