"""One Dense layer over 1,015 shapes, 1 to 300 rows and 1 to 2,100 wide: where is a peer faster?

    python benchmarks/sweep.py FILE [--seconds S] [--python PEER=PATH ...] [--again RATIO]

Measures for S seconds, keeps what it found in FILE and goes on there when called again. A peer may
live in an environment of its own: its Python is named. Shapes at which densekit is not RATIO times
as fast as the fastest peer are measured once more, all peers, and the least times count: noise only
ever adds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, Self

import report
from processes import Worker, pin

# Tails of vectors of 4, 8 and 16 on both sides, sizes of real layers, and beyond every cache.
ROWS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 100,
        127, 128, 200, 256, 300]  # fmt: skip
WIDTHS = [1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 15, 16, 17, 20, 24, 31, 32, 33, 48, 63, 64, 65, 96, 100,
          127, 128, 129, 200, 256, 384, 500, 784, 1000, 1024, 2100]  # fmt: skip
PEERS = ("densekit", "onnxruntime", "numpy", "torch")
PASSES = 3  # of a shape, at most


def empty(rows: list[int], widths: list[int]) -> dict[str, Any]:
    return {"rows": rows, "widths": widths, "times": {}, "passes": 0, "versions": {}}


class Peers:
    """A process for each peer, on one core."""

    def __init__(self, names: list[str], pythons: dict[str, str]) -> None:
        self.workers = {p: Worker(p, "sweep", 1, pythons.get(p, "")) for p in names}
        self.versions = {p: worker.answer()["version"] for p, worker in self.workers.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers.values():
            worker.close()


def pending(found: dict[str, Any]) -> list[int]:
    """Widths that have not been measured."""
    times = found["times"].values()
    return found["widths"][min(map(len, times)) if times else 0 :]


def measure_next(found: dict[str, Any], peers: Peers) -> None:
    """The next width, all rows, one peer after another."""
    width = pending(found)[0]
    found["versions"].update(peers.versions)
    laps = {
        p: worker.ask("width", width=width, rows=found["rows"])
        for p, worker in peers.workers.items()
    }
    for p, seconds in laps.items():
        found["times"].setdefault(p, []).append(seconds)


def doubtful(found: dict[str, Any], below: float) -> dict[int, list[int]]:
    """Width -> rows at which densekit is not so many times as fast as the fastest peer."""
    again: dict[int, list[int]] = {}
    for point in report.sweep_points(found):
        if point["ratio"] < below:
            again.setdefault(point["width"], []).append(point["rows"])
    return again


def measure_again(found: dict[str, Any], peers: Peers, width: int, rows: list[int]) -> None:
    """These shapes once more; the least time of a peer counts."""
    at = found["widths"].index(width)
    for p, worker in peers.workers.items():
        seconds = found["times"][p][at]
        for n, lap in zip(rows, worker.ask("width", width=width, rows=rows), strict=True):
            i = found["rows"].index(n)
            seconds[i] = min(seconds[i], lap)


def run(found: dict[str, Any], peers: Peers, seconds: float, below: float) -> bool:
    """Goes on with what is missing, then with what is in doubt; whether all is done."""
    end = time.perf_counter() + seconds
    while pending(found):
        if time.perf_counter() > end:
            return False
        measure_next(found, peers)
    while found["passes"] + 1 < PASSES:
        waiting = found.setdefault("again", None) or doubtful(found, below)
        waiting = {int(width): rows for width, rows in waiting.items()}
        while waiting:
            found["again"] = waiting
            if time.perf_counter() > end:
                return False
            width = min(waiting)
            measure_again(found, peers, width, waiting.pop(width))
        found["again"] = None
        found["passes"] += 1
    return True


def main(arguments: list[str] | None = None) -> None:
    """See the top."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--python", nargs="*", default=[], metavar="PEER=PATH")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--again", type=float, default=1.1, metavar="RATIO")
    given = parser.parse_args(arguments)
    pin(1)
    known = given.file.exists()
    found = json.loads(given.file.read_text()) if known else empty(ROWS, WIDTHS)
    pythons = dict(pair.split("=", 1) for pair in given.python)
    with Peers(list(found["times"]) or given.peers, pythons) as peers:
        done = run(found, peers, given.seconds, given.again)
    given.file.write_text(json.dumps(found) + "\n")
    print(report.other_text("sweep", found))
    if not done:
        print("not all measured: call again", file=sys.stderr)


if __name__ == "__main__":
    main()
