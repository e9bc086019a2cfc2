"""Sums and other reductions of rows by segment."""

from __future__ import annotations

from operator import index

import numpy as np

from densekit._core.errors import describe, message
from densekit._core.scope import note_sized_by_values
from densekit._core.types import TensorLike
from densekit.ops._dispatch import as_array, astype, dtype_name, namespace
from densekit.ops._indexing import scatter_update
from densekit.ops._operation import operation


def _segment(
    reduction: str, data: TensorLike, segment_ids: TensorLike, num_segments: int | None
) -> TensorLike:
    _check(reduction, data, segment_ids)
    if num_segments is None:
        note_sized_by_values()
        num_segments = int(np.max(segment_ids, initial=-1)) + 1
    count = index(num_segments)
    if count < 0:
        raise ValueError(
            message("segment ops", "`num_segments` >= 0", f"{count}", "Leave it out to count them.")
        )
    xp, dtype = namespace(segment_ids), dtype_name(data)
    if dtype == "bool":
        neutral: float = reduction == "min"
    else:
        neutral = {"add": 0, "mul": 1, "max": -np.inf, "min": np.inf}[reduction]
    if abs(neutral) == np.inf and dtype[0] in "iu":
        neutral = getattr(np.iinfo(dtype), "min" if reduction == "max" else "max")
    # A row of no segment goes into one behind the last, which is cut off.
    known = (segment_ids >= 0) & (segment_ids < count)
    places = xp.where(known, astype(segment_ids, "int32"), count)[:, None]
    first = np.full((count + 1, *data.shape[1:]), neutral, dtype)
    return scatter_update(first, places, data, reduction=reduction)[:count]


def _check(reduction: str, data: TensorLike, segment_ids: TensorLike) -> None:
    shape = tuple(segment_ids.shape)
    if len(shape) != 1 or not data.ndim or shape[0] != data.shape[0]:
        raise ValueError(
            message(
                "segment ops",
                "`segment_ids`, a vector with one id for each row of `data`",
                f"shape {shape} for data of shape {tuple(data.shape)}",
                "Pass one id a row.",
            )
        )
    if segment_ids.dtype.kind not in "iu":
        raise TypeError(
            message(
                "segment ops",
                "whole numbers as `segment_ids`",
                describe(segment_ids),
                "Cast them to 'int32'.",
            )
        )
    if reduction in ("add", "mul") and dtype_name(data) == "bool":
        raise TypeError(
            message("segment ops", "`data` of numbers", describe(data), "Cast it to 'int32'.")
        )


@operation("math", tensors=2, convert=as_array)
def segment_sum(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> TensorLike:
    """Sums of the rows of `data` that share a segment id; 0 for an id without rows.

    Example:

    >>> from densekit import ops
    >>> ops.segment_sum([1, 5, 4], [0, 0, 1]).tolist()
    [6, 4]
    """
    return _segment("add", data, segment_ids, num_segments)


@operation("math", tensors=2, convert=as_array)
def segment_prod(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> TensorLike:
    """Products of the rows of `data` that share a segment id; 1 for an id without rows.

    Example:

    >>> from densekit import ops
    >>> ops.segment_prod([1, 5, 4], [0, 0, 1]).tolist()
    [5, 4]
    """
    return _segment("mul", data, segment_ids, num_segments)


@operation("math", tensors=2, convert=as_array)
def segment_max(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> TensorLike:
    """Maxima of the rows of `data` that share a segment id.

    Example:

    >>> from densekit import ops
    >>> ops.segment_max([1, 5, 4], [0, 0, 1]).tolist()
    [5, 4]
    """
    return _segment("max", data, segment_ids, num_segments)


@operation("math", tensors=2, convert=as_array)
def segment_min(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> TensorLike:
    """Minima of the rows of `data` that share a segment id.

    Example:

    >>> from densekit import ops
    >>> ops.segment_min([1, 5, 4], [0, 0, 1]).tolist()
    [1, 4]
    """
    return _segment("min", data, segment_ids, num_segments)
