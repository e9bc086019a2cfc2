"""Mean and variance of data that may come in batches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from densekit._core.errors import describe, message
from densekit.layers.preprocessing._base import batches


def moments_of(
    data: object, axis: tuple[int, ...], known: tuple[int, ...] | None, where: str
) -> tuple[tuple[int, ...], Any, Any]:
    """Shape of the first batch, mean and variance of each entry of `axis`, in float64.

    Batches are merged by Chan's formula: deviations from the mean of all are those from the mean
    of the batch, and the square of the distance of the two.

    Args:
        axis: the axes to keep.
        known: the sizes of the kept axes, 1 elsewhere, if the layer is built.
        where: the layer, for errors.
    """
    shape: tuple[int, ...] | None = None
    count, mean, variance = 0, np.float64(0), np.float64(0)
    for batch in batches(data, where):
        sizes = getattr(batch, "shape", None)
        if sizes is None:
            raise TypeError(
                message(
                    f"{where}.adapt", "batches that are arrays", describe(batch), "Pass an array."
                )
            )
        shape = shape or tuple(sizes)
        kept = [a % len(sizes) for a in axis if -len(sizes) <= a < len(sizes)]
        expected = known or shape
        if len(kept) < len(axis) or any(
            len(expected) != len(sizes) or sizes[a] != expected[a] for a in kept
        ):
            raise ValueError(
                message(
                    f"{where}.adapt",
                    f"the axes {axis} of shape {tuple(expected)}",
                    f"data of shape {tuple(sizes)}",
                    "Reshape the data.",
                )
            )
        reduced = tuple(a for a in range(len(sizes)) if a not in kept)
        new = math.prod(sizes[a] for a in reduced)
        if not new:
            continue
        values = np.asarray(batch, np.float64)
        share, count = new / (count + new), count + new
        batch_mean, batch_variance = values.mean(axis=reduced), values.var(axis=reduced)
        total = mean * (1 - share) + batch_mean * share
        variance = (variance + (mean - total) ** 2) * (1 - share) + (
            batch_variance + (batch_mean - total) ** 2
        ) * share
        mean = total
    if shape is None or not count:
        raise ValueError(
            message(f"{where}.adapt", "at least one row", "none", "Pass data that are not empty.")
        )
    return shape, mean, variance
