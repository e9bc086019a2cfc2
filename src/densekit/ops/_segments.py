"""Sums and other reductions of rows by segment."""

from __future__ import annotations

import numpy as np

from densekit._core.errors import message
from densekit._core.scope import note_sized_by_values
from densekit._core.types import TensorLike
from densekit.ops._dispatch import as_array, dtype_name, is_jax, namespace
from densekit.ops._indexing import scatter_update
from densekit.ops._operation import operation


def _segment(
    reduction: str, data: TensorLike, segment_ids: TensorLike, num_segments: int | None
) -> TensorLike:
    ids = np.asarray(segment_ids)
    if ids.ndim != 1 or not data.ndim or len(ids) != data.shape[0]:
        raise ValueError(
            message(
                "segment ops",
                "`segment_ids`, a vector with one id for each row of `data`",
                f"shape {ids.shape} for data of shape {tuple(data.shape)}",
                "Pass one id a row.",
            )
        )
    if num_segments is None:
        note_sized_by_values()
    count = int(ids.max(initial=-1)) + 1 if num_segments is None else num_segments
    xp, dtype = namespace(data), dtype_name(data)
    if reduction == "add" and not is_jax(xp):  # a product with the membership matrix has a gradient
        return xp.tensordot((np.arange(count)[:, None] == ids).astype(dtype), data, axes=1)
    known = (ids >= 0) & (ids < count)
    if not known.all():  # a row of no segment goes nowhere
        ids, data = ids[known], data[known]
    neutral: float = {"add": 0, "mul": 1, "max": -np.inf, "min": np.inf}[reduction]
    if abs(neutral) == np.inf and dtype[0] in "iu":
        neutral = getattr(np.iinfo(dtype), "min" if reduction == "max" else "max")
    first = np.full((count, *data.shape[1:]), neutral, dtype)
    return scatter_update(first, ids[:, None], data, reduction=reduction)


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
