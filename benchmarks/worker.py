"""One peer and one workload in a process of their own; answers requests, a JSON line each.

worker.py PEER WORKLOAD THREADS        started by run.py
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import workloads
from peers import PEERS


class TrainingWorker:
    """Times whole `fit` calls; an answer is seconds for one batch of rows."""

    def __init__(self, peer: Any, w: workloads.Training, threads: int) -> None:
        self.w = w
        self.x, self.y = w.data()
        self.before = _resident("VmRSS:") if w.memory else 0
        if w.memory:
            _forget_peak()
        self.run = peer.training(w, self.x, self.y, threads)

    def check(self, truth: str) -> dict[str, Any]:
        """Distance of the predictions to those of the float64 mathematics."""
        if self.run is None:
            return {"skipped": "cannot express this network"}
        late = getattr(self.run, "late_epsilon", False)
        expected = np.load(truth)["late" if late else "early"]
        seen = self.run.check(self.w.check_steps)
        return {
            "error": float(np.abs(seen.astype(np.float64) - expected).max()),
            "note": getattr(self.run, "note", ""),
        }

    def warm_up(self, share: float) -> dict[str, Any]:
        """Compiles, then guesses an epoch's time. The rows end in the same part of a batch."""
        batch = self.w.batch
        self.rows = max(batch, int(self.w.rows * share) // batch * batch + self.w.rows % batch)
        self.rows = min(self.rows, self.w.rows)
        few = min(self.rows, 40 * batch + self.rows % batch)
        start = time.perf_counter()
        self.run.epochs(1, few)
        first = time.perf_counter() - start
        start = time.perf_counter()
        done = self.run.epochs(1, few)
        self.epoch = (time.perf_counter() - start) * self.rows / done
        if self.epoch < 1:  # a scan is compiled for its length
            self.run.epochs(1, self.rows)
            start = time.perf_counter()
            self.run.epochs(1, self.rows)
            self.epoch = time.perf_counter() - start
        return {"epoch": self.epoch, "first": first}

    def measure(self, seconds: float) -> dict[str, Any]:
        k = max(1, round(seconds / self.epoch))
        start = time.perf_counter()
        rows = self.run.epochs(k, self.rows)
        return {"": (time.perf_counter() - start) * self.w.batch / rows}

    def memory(self) -> dict[str, Any]:
        """Bytes that training adds to the process, at most, against the bytes of the data."""
        peak = _resident("VmHWM:")
        if not peak:
            return {}
        data = self.x.nbytes + self.y.nbytes
        return {"peak": peak, "added": max(0, peak - self.before), "data": data}


class InferenceWorker:
    """Times single calls; an answer is seconds for one call, by path."""

    def __init__(self, peer: Any, w: workloads.Inference, threads: int) -> None:
        self.w = w
        self.x = w.inputs(w.rows)
        self.paths: dict[str, Callable[[], Any]] = peer.inference(w, self.x, threads)
        self.calls: dict[str, int] = {}

    def check(self, truth: str) -> dict[str, Any]:
        expected = np.load(truth)["early"]
        worst = max(float(np.abs(path() - expected).max()) for path in self.paths.values())
        return {"error": worst, "note": ""}

    def warm_up(self, share: float) -> dict[str, Any]:
        for name, path in self.paths.items():
            self.calls[name] = 1
            while _laps(path, self.calls[name]) < 0.01:
                self.calls[name] *= 2
        return {}

    def measure(self, seconds: float) -> dict[str, Any]:
        answer = {}
        for name, path in self.paths.items():
            end, spent, calls = time.perf_counter() + seconds, 0.0, 0
            while calls == 0 or time.perf_counter() < end:
                spent += _laps(path, self.calls[name])
                calls += self.calls[name]
            answer[name] = spent / calls
        return answer

    def measure_callers(self, callers: list[int], seconds: float) -> dict[str, list[float]]:
        """Calls a second of so many Python threads together, by path."""
        return {
            name: [_calls_a_second(path, n, seconds) for n in callers]
            for name, path in self.paths.items()
        }


class SweepWorker:
    """One Dense layer over many numbers of rows; an answer is the best seconds for each."""

    def __init__(self, peer: Any, threads: int) -> None:
        self.peer, self.threads = peer, threads

    def width(self, width: int, rows: list[int]) -> list[float]:
        w = workloads.Network("dense", (width, width))
        kernel, bias = w.weights()[0]
        call = self.peer.dense(width, kernel, bias, self.threads)
        answer = []
        for n in rows:
            x = w.inputs(n)
            if np.abs(call(x) - x @ kernel).max() > 1e-3:
                raise AssertionError(f"{n} rows of {width}: a wrong product")
            calls = 1
            while _laps(call, calls, x) < 2e-4:
                calls *= 2
            answer.append(min(_laps(call, calls, x) for _ in range(5)) / calls)
        return answer


class TrainingSweepWorker:
    """Steps of networks that are told by their fields; an answer is the least seconds of a step."""

    def __init__(self, peer: Any, threads: int) -> None:
        self.peer, self.threads = peer, threads

    def step(self, network: dict[str, Any], seconds: float) -> float:
        w = workloads.Training("any", **{**network, "widths": tuple(network["widths"])})
        run = self.peer.training(w, *w.data(), self.threads)
        laps: list[float] = []
        end = None  # the clock starts when an epoch has been compiled, and run once more
        while end is None or len(laps) < 5 or time.perf_counter() < end:
            start = time.perf_counter()
            rows = run.epochs(1, w.rows)
            laps.append((time.perf_counter() - start) * w.batch / rows)
            if end is None and len(laps) == 2:
                end = time.perf_counter() + seconds
        return min(laps[2:])


def _laps(call: Callable[..., Any], n: int, *args: Any) -> float:
    start = time.perf_counter()
    for _ in range(n):
        call(*args)
    return time.perf_counter() - start


def _calls_a_second(call: Callable[[], Any], callers: int, seconds: float) -> float:
    ready = threading.Barrier(callers + 1)

    def work() -> int:
        ready.wait()
        calls, end = 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            call()
            calls += 1
        return calls

    with ThreadPoolExecutor(callers) as pool:
        counts = [pool.submit(work) for _ in range(callers)]
        ready.wait()
        start = time.perf_counter()
        done = sum(count.result() for count in counts)
    return done / (time.perf_counter() - start)


def _resident(key: str) -> int:
    """Bytes that Linux counts under `key`; 0 elsewhere."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return int(next(line for line in lines if line.startswith(key)).split()[1]) << 10


def _forget_peak() -> None:
    """The resident peak starts again from what is resident now."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _create(peer: Any, name: str, threads: int) -> Any:
    if name == "sweep":
        return SweepWorker(peer, threads)
    if name == "sweep-training":
        return TrainingSweepWorker(peer, threads)
    if name == "costs":
        costs = importlib.import_module("costs")
        return costs.CostsWorker(threads)
    w = workloads.find(name)
    kind = TrainingWorker if isinstance(w, workloads.Training) else InferenceWorker
    return kind(peer, w, threads)  # type: ignore[arg-type]


def main() -> None:
    name, workload, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # a library that prints must not disturb the answers
    peer = importlib.import_module(f"peers.{PEERS[name][0]}")
    worker = _create(peer, workload, threads)
    print(json.dumps({"version": peer.version()}), file=answers)
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(worker, request.pop("do"))(**request)
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
