"""A peer that can choose its number of threads gets the faster one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

try:
    from threadpoolctl import threadpool_limits
except ImportError:
    threadpool_limits = None


def blas_threads(n: int) -> None:
    """Sets the threads of NumPy's and SciPy's BLAS, for good."""
    if threadpool_limits is not None:
        threadpool_limits(n)


def fastest(set_threads: Callable[[int], Any], threads: int, run: Callable[[], Any]) -> str:
    """Times `run` with one thread and with all, keeps the faster; says which."""
    best = {}
    for n in sorted({1, threads}):
        set_threads(n)
        run()
        laps, end = [], time.perf_counter() + 0.2
        while len(laps) < 2 or (time.perf_counter() < end and len(laps) < 2000):
            start = time.perf_counter()
            run()
            laps.append(time.perf_counter() - start)
        best[n] = sorted(laps)[len(laps) // 2]
    chosen = min(best, key=lambda n: best[n])
    set_threads(chosen)
    return f"{chosen} thread" + "s" * (chosen > 1)
