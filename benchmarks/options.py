"""What a run of the benchmarks is asked for: workloads, peers, how long and how often."""

from __future__ import annotations

import argparse
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import workloads
from peers import NEEDS, PEERS


@dataclass(frozen=True)
class Pace:
    """How long and how often to measure."""

    rounds: int
    training_s: float  # one measurement of one peer
    inference_s: float
    budget_s: float  # of one peer on one workload; three rounds are made in any case
    imports: int
    processes: int
    share: float  # of the rows


FULL = Pace(9, 0.3, 0.1, 4.0, 15, 5, 1.0)
SHORT = Pace(3, 0.05, 0.02, 2.0, 3, 1, 0.1)
SHORT_ONLY = ["tabular", "deep", "small-1", "digits-64", "import", "process"]
SHORT_PEERS = ["densekit", "keras-jax", "torch", "jax", "sklearn", "onnxruntime", "numpy"]
# Less exact than the others; our own second engine.
ON_REQUEST = ("densekit-bf16", "densekit-jax")


def installed(peers: list[str]) -> list[str]:
    """Those whose packages are here; the others are named."""
    present = []
    for p in peers:
        missing = [m for m in NEEDS[p] if importlib.util.find_spec(m) is None]
        if missing:
            print(f"{p}: skipped, {' and '.join(missing)} not installed")
        else:
            present.append(p)
    return present


def parse(arguments: list[str] | None, description: str) -> argparse.Namespace:
    """The options of a run."""
    names = [w.name for w in [*workloads.TRAINING, *workloads.INFERENCE]] + workloads.OTHERS
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--short", action="store_true", help="a check that everything runs")
    parser.add_argument("--only", nargs="+", metavar="WORKLOAD",
                        choices=[*names, "training", "inference"],
                        help=", ".join(names))  # fmt: skip
    parser.add_argument("--peers", nargs="+", choices=[*PEERS, "all"], metavar="PEER",
                        help=", ".join(PEERS))  # fmt: skip
    parser.add_argument("--threads", type=int, help="of every peer: 2, and 1 with --short")
    parser.add_argument("--rounds", type=int, help="of each measurement")
    parser.add_argument("--sweep", action="store_true", help="one layer over rows and widths too")
    parser.add_argument("--costs", action="store_true", help="every component's cost too")
    parser.add_argument("--write", action="store_true", help="keep the tables in results/")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    return parser.parse_args(arguments)


def chosen_workloads(options: argparse.Namespace) -> list[str]:
    """What to measure, in order."""
    groups = {
        "training": [w.name for w in workloads.TRAINING],
        "inference": [w.name for w in workloads.INFERENCE],
    }
    names = options.only or (
        SHORT_ONLY
        if options.short
        else [
            *groups,
            "import",
            "process",
            "own-steps",
            "own-layers",
            "small-calls",
            "many",
            "callers",
            "widths",
        ]
    )
    names = [n for name in names for n in groups.get(name, [name])]
    return names + ["sweep"] * options.sweep + ["costs"] * options.costs
