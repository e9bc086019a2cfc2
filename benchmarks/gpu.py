"""Measures training on a GPU: densekit's JAX engine beside plain JAX, Keras and PyTorch.

    python benchmarks/gpu.py [--only WORKLOAD ...] [--peers PEER ...] [--seconds S] [--write]
    python benchmarks/gpu.py --tiny          that all of it runs, on any device

Each peer and workload has a process of its own, one after the other. A peer that is not installed,
or has no GPU, is skipped, and said so. benchmarks/README.md tells the rest.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gpu_workloads
import report
import workloads

HERE = Path(__file__).parent

# Name -> module under peers, environment, what it imports.
PEERS: dict[str, tuple[str, dict[str, str], tuple[str, ...]]] = {
    "densekit": ("densekit", {"DENSEKIT_ENGINE": "jax"}, ("densekit", "jax")),
    "keras-jax": ("keras", {"KERAS_BACKEND": "jax"}, ("keras", "jax")),
    "jax": ("jax", {}, ("jax",)),
    "torch": ("torch_gpu", {"DENSEKIT_BENCHMARK_TORCH": "eager"}, ("torch",)),
    "torch-compile": ("torch_gpu", {"DENSEKIT_BENCHMARK_TORCH": "compile"}, ("torch",)),
    "torch-graphs": ("torch_gpu", {"DENSEKIT_BENCHMARK_TORCH": "graphs"}, ("torch",)),
}
# Products of float32 stay products of float32 for all.
_EXACT = {"JAX_DEFAULT_MATMUL_PRECISION": "highest"}

# Multiply-adds a second of dense bfloat16 products, twice: what the makers' data sheets say.
_PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L4": 121e12, "RTX 4090": 165e12}

# tiny-cuda-nn on an H100, 11 hidden layers of 64, 2^17 rows: 1,000 training steps; 1,000 passes.
_REFERENCE = {"narrow-11-layers": (0.79e-3, 0.236e-3)}


def measure(peer: str, work: gpu_workloads.Work, seconds: float, tiny: bool) -> dict[str, Any]:
    """What a process of the peer says; ``{"missing": reason}`` if it cannot."""
    module, environment, needs = PEERS[peer]
    absent = [name for name in needs if importlib.util.find_spec(name) is None]
    if absent:
        return {"missing": f"{absent[0]} is not installed"}
    if peer == "keras-jax" and work.members > 1:
        return {"missing": "trains one network at a time"}
    kept = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    settings = {"DENSEKIT_BENCHMARK_POLICY": work.policy, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(HERE / "gpu_worker.py"), module, work.name, str(seconds)]
    done = subprocess.run(
        command + ["tiny"] * tiny,
        capture_output=True,
        text=True,
        env={**kept, **_EXACT, **settings, **environment},
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        return {"missing": last[0]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def peak(device: str) -> float | None:
    """Operations a second of bfloat16 products that the device's maker names."""
    return next((flops for name, flops in _PEAKS.items() if name in device), None)


def entry_text(work: gpu_workloads.Work, peers: dict[str, Any]) -> str:
    """A workload's peers, the fastest first."""
    w = work.network
    members = f"{work.members:,} networks of " if work.members > 1 else ""
    lines = [f"\n{w.name}: {members}{workloads.title(w)}, batch {w.batch:,}, {work.policy}"]
    rows = [["", "step", "spread", "rows/s", "FLOP/s", "of peak", "first epoch", "inference",
             "vs densekit", "error"]]  # fmt: skip
    measured = {p: r for p, r in peers.items() if "missing" not in r}
    ours = measured.get("densekit")
    for p, r in sorted(measured.items(), key=lambda item: item[1]["median"]):
        flops = work.flops_per_step / r["median"]
        most = peak(r["device"]) if work.policy == "mixed_bfloat16" else None
        rows.append([
            p + (f" ({r['note']})" if r["note"] else ""),
            report.duration(r["median"]),
            f"{100 * (r['max'] - r['min']) / r['median']:.0f}%",
            f"{w.batch * work.members / r['median']:.3g}",
            f"{flops:.3g}",
            f"{100 * flops / most:.1f}%" if most else "",
            report.duration(r["first"]),
            report.duration(r["inference"]) if "inference" in r else "",
            f"{r['median'] / ours['median']:.2f}x" if ours else "",
            f"{r['error']:.0e}" if "error" in r else "",
        ])  # fmt: skip
    lines.append(report.table(rows))
    if w.name in _REFERENCE:
        trains, infers = map(report.duration, _REFERENCE[w.name])
        lines.append(f"  tiny-cuda-nn on an H100: step {trains}, inference {infers}")
    lines += [f"  {p}: {r['missing']}" for p, r in peers.items() if "missing" in r]
    return "\n".join(lines)


def write(results: dict[str, Any], text: str) -> Path:
    """``results/<date>-<device>.md`` and ``.json``, never over another run."""
    device = re.sub(r"[^a-z0-9]+", "-", results["device"].lower()).strip("-")
    stem = f"{datetime.date.today().isoformat()}-{device}"
    taken, n = stem, 1
    while list((HERE / "results").glob(f"{taken}.*")):
        n += 1
        taken = f"{stem}-{n}"
    path = HERE / "results" / f"{taken}.md"
    path.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    path.write_text(f"```text\n{text}\n```\n")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = [work.name for work in gpu_workloads.FULL]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="WORKLOAD")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="PEER")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes: that all of it runs")
    parser.add_argument("--write", action="store_true", help="keep the numbers in results/")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    given = parser.parse_args()
    start = time.perf_counter()
    results: dict[str, Any] = {"device": "", "versions": {}, "workloads": {}}
    texts = []
    for name in given.only:
        work = gpu_workloads.find(name, given.tiny)
        peers = {}
        for p in given.peers:
            peers[p] = measure(p, work, 0.01 if given.tiny else given.seconds, given.tiny)
            results["versions"][p] = peers[p].get("version", results["versions"].get(p))
            results["device"] = peers[p].get("device", results["device"])
        results["workloads"][name] = peers
        if not texts:
            texts.append(f"{results['device']}; {datetime.date.today().isoformat()}")
            print(texts[0])
        texts.append(entry_text(work, peers))
        print(texts[-1], flush=True)
    closing = f"\n{time.perf_counter() - start:.0f} s in all"
    print(closing + "\nTiny sizes check that all works; the numbers mean little." * given.tiny)
    if given.json:
        given.json.write_text(json.dumps(results))
    if given.write:
        versions = ", ".join(f"{p} {v}" for p, v in results["versions"].items() if v)
        print(write(results, "\n".join([*texts, f"\nVersions: {versions}"])))


if __name__ == "__main__":
    main()
