"""The table of README from benchmarks/results/: a group of columns for each maker of processors.

    python scripts/readme_benchmarks.py [--check]

A maker's numbers are those of its newest results that hold every row; without such results it has
no columns.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
README, RESULTS = ROOT / "README.md", ROOT / "benchmarks" / "results"
START, END = "<!-- benchmarks:table -->", "<!-- benchmarks:table-end -->"
OURS = "densekit"
MAKERS = {"AMD": "AMD", "Intel": "Intel", "aarch64": "ARM", "arm64": "ARM"}
PEERS = {
    "jax": "JAX", "keras-jax": "Keras on JAX", "keras-torch": "Keras on PyTorch",
    "torch": "PyTorch", "sklearn": "scikit-learn", "onnxruntime": "ONNX Runtime", "numpy": "NumPy",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    text: str
    group: str
    name: str = ""
    path: str = OURS  # whose time is shown


ROWS = [
    Row("training step, 20-32-16-1, batch 32", "training", "tabular"),
    Row("training step, 784-128-64-10, batch 32", "training", "digits"),
    Row("training step, 784-512-512-10, batch 128", "training", "mid"),
    Row("training step, 1024-2048-2048-2048-10, batch 256", "training", "wide"),
    Row("the same in `mixed_bfloat16`", "training", "wide", "densekit-bf16"),
    Row("training step, 12 layers of 64, gelu, dropout, batch 64", "training", "deep"),
    Row("training step, 20-64-64-1, batch 256, a million rows", "training", "big-tabular"),
    Row("`model(x)`, one row, 4-16-8-3", "inference", "small-1", "densekit model(x)"),
    Row("`model(x)`, one row, 784-128-64-10", "inference", "digits-1", "densekit model(x)"),
    Row("`predict`, one row, 1024-2048-2048-2048-10", "inference", "wide-1", "densekit predict"),
    Row("`model(x)`, 64 rows, 784-128-64-10", "inference", "digits-64", "densekit model(x)"),
    Row(
        "`model(x)`, 64 rows, 1024-2048-2048-2048-10",
        "inference", "wide-64", "densekit model(x)",
    ),
    Row("`predict`, 4,096 rows, 784-128-64-10", "inference", "digits-4096", "densekit predict"),
    Row("whole process: import, build, five epochs, predict, save", "process"),
]  # fmt: skip


def maker(results: dict[str, Any]) -> str:
    said = f"{results['machine']['cpu']} {results['machine']['system']}"
    return next((name for key, name in MAKERS.items() if key in said), results["machine"]["cpu"])


def duration(seconds: float) -> str:
    """Two digits at least, three below a thousand: ``4.2 us``, ``101 us``."""
    for factor, unit in ((1e9, "ns"), (1e6, "us"), (1e3, "ms"), (1.0, "s")):
        value = seconds * factor
        if value < 999.5 or unit == "s":
            return f"{value:.{1 if value < 9.95 else 0}f} {unit}"
    raise AssertionError


def cells(row: Row, results: dict[str, Any]) -> list[str]:
    """densekit's time, the fastest peer's, their ratio, the share of the limit."""
    limit = None
    if row.group == "process":
        peers = {name: {**r, "peer": name} for name, r in results["process"].items()}
    else:
        entry = next(e for e in results[row.group] if e["name"] == row.name)
        peers = entry["peers"]
        limit = entry["limit"] if row.path != "densekit-bf16" else entry.get("limit_bfloat16")
    ours = peers[row.path]["median"]
    share = min(1.0, limit["seconds"] / ours) if limit else 0.0  # 1: read faster than measured
    shown = f"{100 * share:.0f} %" if share > 0.05 else ""
    if row.path == "densekit-bf16":
        return [duration(ours), "", "", shown]
    others = [r for r in peers.values() if not r["peer"].startswith(OURS)]
    theirs = min(others, key=lambda r: r["median"])
    ratio = theirs["median"] / ours
    digits = 0 if ratio >= 9.95 else 1 if ratio >= 1.195 else 2
    return [
        duration(ours), f"{duration(theirs['median'])} ({PEERS[theirs['peer']]})",
        f"{ratio:.{digits}f}x", shown,
    ]  # fmt: skip


def newest(folder: Path) -> dict[str, dict[str, Any]]:
    """Maker -> its newest results that hold every row. Files are named by date."""
    found = {}
    for file in sorted(folder.glob("*.json")):
        results = json.loads(file.read_text())
        try:
            for row in ROWS:
                cells(row, results)
        except (KeyError, StopIteration):
            continue
        if not results.get("short"):
            found[maker(results)] = results
    return dict(sorted(found.items()))


def table(folder: Path = RESULTS) -> str:
    machines = newest(folder)
    header, rule = [""], ["---"]
    for name, results in machines.items():
        cpu = f"{name} {results['machine']['family']}, {results['threads']} threads"
        header += [f"{cpu}: densekit", "fastest peer", "ratio", "of the limit"]
        rule += ["---"] * 4
    lines = [header, rule]
    for row in ROWS:
        lines.append([row.text, *(c for r in machines.values() for c in cells(row, r))])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def page(text: str, folder: Path = RESULTS) -> str:
    """README with the table as the results have it."""
    before, rest = text.split(START)
    return before + START + "\n\n" + table(folder) + "\n\n" + END + rest.split(END)[1]


def main() -> None:
    """See the top."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true", help="fail if README is not current")
    given = parser.parse_args()
    text = README.read_text()
    made = page(text)
    if not given.check:
        README.write_text(made)
    elif made != text:
        sys.exit("README: the table is not that of benchmarks/results. Run this without --check.")


if __name__ == "__main__":
    main()
