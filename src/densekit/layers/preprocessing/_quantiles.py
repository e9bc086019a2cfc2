"""Quantiles of data that come in batches: summaries that are merged and kept small.

A summary is an array of two rows: values in ascending order, and how many data each stands for.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Summary = npt.NDArray[np.float32]


def empty() -> Summary:
    """The summary of no data."""
    return np.zeros((2, 0), np.float32)


def summarized(data: object, epsilon: float) -> Summary:
    """Every n-th of the sorted data, so that ``1 / epsilon`` are left."""
    values = np.sort(np.asarray(data, np.float32).reshape(-1))
    step = max(values.size * epsilon, 1.0)
    kept = values[int(step - 1) :: int(step)]
    return np.stack([kept, np.full_like(kept, step)])


def merged(first: Summary, second: Summary, epsilon: float) -> Summary:
    """One summary of the data of both."""
    both = np.concatenate((first, second), axis=1)
    return _compressed(both[:, np.argsort(both[0])], epsilon)


def boundaries(summary: Summary, bins: int) -> list[float]:
    """The values that cut the data into `bins` parts of equal size."""
    edges: list[float] = _compressed(summary, 1.0 / bins)[0, :-1].tolist()
    return edges


def _compressed(summary: Summary, epsilon: float) -> Summary:
    if summary.shape[1] * epsilon < 1:
        return summary
    shares = epsilon + np.arange(0.0, 1.0, epsilon)
    totals = summary[1].cumsum()
    reached = totals / totals[-1]
    values = np.interp(shares, reached, summary[0])
    counts = np.diff(np.interp(shares, reached, totals), prepend=0.0)
    return np.stack((values, counts)).astype(np.float32)
