"""One peer and one workload of `gpu.py` in a process of its own; prints its numbers as JSON.

gpu_worker.py PEER WORKLOAD SECONDS [tiny]
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import gpu_workloads
import numpy as np
import workloads

LAPS = 5
_CHECKED = 2e11  # operations of the float64 mathematics that are worth the wait


def laps(run: Callable[[int], None], seconds: float) -> dict[str, float]:
    """Seconds of one of the things that `run(k)` does k of."""
    k = 1
    while True:
        start = time.perf_counter()
        run(k)
        spent = time.perf_counter() - start
        if spent > seconds / LAPS / 4 or k > 1 << 20:
            break
        k *= 2
    k = max(1, round(k * seconds / LAPS / spent))
    times = []
    for _ in range(LAPS):
        start = time.perf_counter()
        run(k)
        times.append((time.perf_counter() - start) / k)
    return {"median": statistics.median(times), "min": min(times), "max": max(times)}


def training(peer: Any, work: gpu_workloads.Work, seconds: float) -> dict[str, Any]:
    """Seconds of a step, whole epochs measured, and of the first epoch."""
    w = work.network
    x, y = w.data()
    if work.members > 1:
        run = peer.many(w, x, y, work.members)
    else:
        run = peer.training(w, x, y, os.cpu_count() or 1)
    rows = w.rows // w.batch * w.batch
    start = time.perf_counter()
    run.epochs(1, rows)
    found: dict[str, Any] = {"first": time.perf_counter() - start}
    found |= laps(lambda k: run.epochs(k, rows), seconds)
    steps = rows // w.batch
    found |= {name: found[name] / steps for name in ("median", "min", "max")}
    found["note"] = getattr(run, "note", "")
    if work.policy == "float32" and w.flops_per_step * w.check_steps <= _CHECKED:
        late = getattr(run, "late_epsilon", False)
        expected = workloads.train(w, x, y, w.check_steps, late_epsilon=late)
        found["error"] = float(np.abs(run.check(w.check_steps) - expected).max())
    return found


def inference(peer: Any, work: gpu_workloads.Work, seconds: float) -> dict[str, Any]:
    """Seconds of predictions of a batch that lies on the device, and stay there."""
    w = work.network
    call = peer.on_device(w, w.inputs(w.batch))

    def run(k: int) -> None:
        for _ in range(k - 1):
            call(False)
        call(True)

    run(1)
    return laps(run, seconds)


def main() -> None:
    name, workload, seconds, tiny = *sys.argv[1:4], "tiny" in sys.argv[4:]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # a library that prints must not disturb the answer
    work = gpu_workloads.find(workload, tiny)
    peer = importlib.import_module(f"peers.{name}")
    if not tiny and peer.device() == "cpu":
        sys.exit("no GPU here; --tiny runs everywhere")
    found = training(peer, work, float(seconds))
    if work.infers:
        found["inference"] = inference(peer, work, float(seconds))["median"]
    found |= {"version": peer.version(), "device": peer.device()}
    print(json.dumps(found), file=answers)


if __name__ == "__main__":
    main()
