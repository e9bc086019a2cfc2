"""Comparisons with a computed tolerance; `test_compare.py` shows that each can fail."""

from __future__ import annotations

from typing import Any

import numpy as np


def assert_close(
    actual: Any, expected: Any, *, ulps: float, scale: Any = None, dtype: Any = None, what: str = ""
) -> None:
    """Element by element: ``abs(actual - expected) <= ulps * eps * scale + smallest normal``.

    `scale` is the size of the largest term that was rounded on the way (default: the result),
    `eps` that of `dtype` (default: of `actual`). NaN agrees with NaN only, infinities must be
    equal.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    kind = np.finfo(np.dtype(dtype or actual.dtype))
    a, e = actual.astype("float64"), expected.astype("float64")
    assert a.shape == e.shape, f"{what}: shape {a.shape} instead of {e.shape}"
    scale = np.abs(e) if scale is None else np.broadcast_to(np.abs(scale), e.shape)
    special = ~np.isfinite(e)
    agree = np.where(np.isnan(e), np.isnan(a), a == e)
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(a - e) <= ulps * float(kind.eps) * scale + float(kind.tiny)
        largest = (a > float(kind.max) * (1 - 8 * float(kind.eps))) & (e == np.inf)
    good = np.where(special, agree | largest, near | (a == e))
    if good.all():
        return
    worst = np.unravel_index(np.argmin(good), good.shape)
    raise AssertionError(
        f"{what}: {int((~good).sum())} of {good.size} differ; at {tuple(map(int, worst))} got "
        f"{a[worst]!r}, expected {e[worst]!r}, allowed {ulps * float(kind.eps) * scale[worst]:.3g}"
    )


def assert_slope(
    slope: float, below: float, above: float, step: float, *, size: float, curvature: float
) -> None:
    """A directional derivative against the central difference of two float64 values.

    Allowed: ``4 * eps * size / step`` for rounding, `size` being the sum of what was added up, and
    ``step**2 * curvature`` for the third derivative.
    """
    difference = (above - below) / (2 * step)
    allowed = 4 * np.finfo("float64").eps * size / step + step**2 * curvature
    assert abs(slope - difference) <= allowed, (
        f"slope {slope!r}, central difference {difference!r}, allowed {allowed:.3g}"
    )
