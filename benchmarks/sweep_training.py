"""A step of training over random networks: where is a peer faster?

    python benchmarks/sweep_training.py FILE [--shapes N] [--policy POLICY] [--seconds S]
                                        [--python PEER=PATH ...] [--again RATIO]

1 to 6 layers 8 to 1,024 wide, batches of 1 to 1,024, three activations, Adam or SGD, with and
without BatchNormalization and Dropout. Measures for S seconds, keeps what it found in FILE and goes
on there when called again. Shapes at which densekit is not RATIO times as fast as the fastest peer
are measured once more, all peers, and the least times count: noise only ever adds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import report
import workloads
from processes import Worker, pin

PEERS = ("densekit", "jax", "torch")
POLICIES = ("float32", "mixed_bfloat16", "float64")
MOST_FLOPS = 2e9  # of a step
EPOCH_FLOPS, EPOCH_STEPS = 2e9, 400  # about
MEASURE_S = 0.15


def networks(n: int) -> list[dict[str, Any]]:
    """The fields of n random networks; the first ones are the same whatever n is."""
    rng = np.random.default_rng(1)

    def size(low: float, high: float) -> int:
        return round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))

    found: list[dict[str, Any]] = []
    while len(found) < n:
        depth = int(rng.integers(1, 7))
        equal = bool(rng.random() < 0.5)
        hidden = [size(8, 1024)] * depth if equal else [size(8, 1024) for _ in range(depth)]
        output, units = [("softmax", 10), ("sigmoid", 1), ("linear", 3)][rng.integers(3)]
        batch = size(1, 1024)
        network = {
            "widths": [size(8, 1024), *hidden, units],
            "activation": ["relu", "tanh", "gelu"][rng.integers(3)],
            "output": output,
            "dropout": [0.0, 0.0, 0.2][rng.integers(3)],
            "normalized": bool(rng.random() < 0.3) and batch > 1,
            "optimizer": ["adam", "sgd"][int(rng.random() < 0.3)],
            "batch": batch,
        }
        w = workloads.Training("any", **{**network, "widths": tuple(network["widths"])})
        if w.flops_per_step <= MOST_FLOPS:
            steps = min(EPOCH_STEPS, max(4, round(EPOCH_FLOPS / w.flops_per_step)))
            found.append({**network, "rows": steps * batch})
    return found


def title(network: dict[str, Any]) -> str:
    w = workloads.Training("any", **{**network, "widths": tuple(network["widths"])})
    parts = [workloads.title(w), w.activation, "normalized" * w.normalized,
             "dropout" * (w.dropout > 0), w.optimizer, f"batch {w.batch}"]  # fmt: skip
    return ", ".join(part for part in parts if part)


def measure(found: dict[str, Any], i: int, workers: dict[str, Worker]) -> None:
    """A network, one peer after another; the least time of each counts."""
    for p, worker in workers.items():
        lap = worker.ask("step", network=found["networks"][i], seconds=MEASURE_S)
        times = found["times"].setdefault(p, {})
        times[str(i)] = min(lap, times.get(str(i), lap))
    found["passes"][i] += 1


def points(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Every network measured, with the fastest peer's seconds over densekit's, the worst first."""
    result = []
    for i, passes in enumerate(found["passes"]):
        if passes:
            seconds = {p: times[str(i)] for p, times in found["times"].items()}
            mine = seconds.pop(report.OURS)
            peer = min(seconds, key=lambda p: seconds[p])
            result.append({"at": i, "title": title(found["networks"][i]), "seconds": mine,
                           "peer": peer, "ratio": seconds[peer] / mine})  # fmt: skip
    return sorted(result, key=lambda p: p["ratio"])


def text(found: dict[str, Any]) -> str:
    all_points = points(found)
    ratios = [p["ratio"] for p in all_points]
    rows = [["worst first", "densekit", "fastest peer", "ratio"]]
    for p in all_points[:30]:
        theirs = f"{p['peer']} {report.duration(p['seconds'] * p['ratio'])}"
        rows.append([p["title"], report.duration(p["seconds"]), theirs, f"{p['ratio']:.2f}x"])
    return (
        f"  {found['policy']}, {len(ratios)} networks; fastest peer over densekit: least "
        f"{ratios[0]:.2f}x, median {ratios[len(ratios) // 2]:.2f}x; "
        f"below 1.2x: {sum(r < 1.2 for r in ratios)}\n{report.table(rows)}"
    )


def run(found: dict[str, Any], workers: dict[str, Worker], seconds: float, again: float) -> bool:
    """Goes on with what is missing, then with what is in doubt; whether all is done."""
    end = time.perf_counter() + seconds
    for i, passes in enumerate(found["passes"]):
        if not passes:
            if time.perf_counter() > end:
                return False
            measure(found, i, workers)
    for p in points(found):
        if p["ratio"] < again and found["passes"][p["at"]] < 2:
            if time.perf_counter() > end:
                return False
            measure(found, p["at"], workers)
    return True


def main() -> None:
    """See the top."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--shapes", type=int, default=150)
    parser.add_argument("--policy", choices=POLICIES, default="float32")
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--python", nargs="*", default=[], metavar="PEER=PATH")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--again", type=float, default=1.25, metavar="RATIO")
    given = parser.parse_args()
    found = {"policy": given.policy, "networks": networks(given.shapes),
             "passes": [0] * given.shapes, "times": {}, "versions": {}}  # fmt: skip
    if given.file.exists():
        found = json.loads(given.file.read_text())
    os.environ["DENSEKIT_BENCHMARK_POLICY"] = found["policy"]
    pin(given.threads)
    pythons = dict(pair.split("=", 1) for pair in given.python)
    workers = {p: Worker(p, "sweep-training", given.threads, pythons.get(p, "")) for p in PEERS}
    try:
        found["versions"] = {p: w.answer()["version"] for p, w in workers.items()}
        done = run(found, workers, given.seconds, given.again)
    finally:
        for worker in workers.values():
            worker.close()
        given.file.write_text(json.dumps(found) + "\n")
    print(text(found))
    if not done:
        print("not all measured: call again", file=sys.stderr)


if __name__ == "__main__":
    main()
