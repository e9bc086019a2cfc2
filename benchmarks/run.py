"""Measures densekit beside its peers: training, single calls, imports; prints tables.

    python benchmarks/run.py [--short] [--only WORKLOAD ...] [--peers PEER ...] [--threads N]
                             [--sweep] [--costs] [--write]

Every peer runs in a process of its own, one measures at a time, in rounds: round 1 of every peer,
round 2 of every peer, ... so that a drift of the machine meets all alike. benchmarks/README.md
tells the rest of the method.
"""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import machine
import numpy as np
import publish
import report
import sweep
import workloads
from options import FULL, ON_REQUEST, SHORT, SHORT_PEERS, Pace, chosen_workloads, installed, parse
from peers import INFERS, PEERS, TRAINS
from processes import PeerError, Worker, environment, pin

HERE = Path(__file__).parent
_WAYS = (" compiled", " one after another")  # of one peer


REST_S = 0.1  # ONNX Runtime's threads spin for 60 ms after a call, on the cores of the next peer
CALLERS = [1, 2, 4]  # Python threads
WIDTHS_PEERS = ("densekit", "torch", "jax", "onnxruntime", "numpy")


def statistics_of(times: list[float]) -> dict[str, Any]:
    several = times if len(times) > 1 else times * 2
    quarters = statistics.quantiles(several, n=4, method="inclusive")
    return {
        "median": statistics.median(times),
        "min": min(times),
        "iqr": quarters[2] - quarters[0],
        "rounds": len(times),
    }


class Bench:
    """One run: its settings, and what has been measured so far."""

    def __init__(self, peers: list[str], threads: int, pace: Pace) -> None:
        self.peers, self.threads, self.pace = peers, threads, pace
        self.versions: dict[str, str] = {}
        self.card = machine.card()
        pin(threads)
        measured = [*workloads.INFERENCE, *workloads.of_all_widths()]
        weights = {4 * w.parameters for w in measured}
        self.limits = machine.limits(threads, weights)

    def results(self, names: list[str]) -> dict[str, Any]:
        found: dict[str, Any] = {
            "machine": self.card,
            "limits": self.limits,
            "threads": self.threads,
            "pace": asdict(self.pace),
            "versions": self.versions,
        }
        print(report.machine_text(found), flush=True)
        for group, known, measure in (
            ("training", workloads.TRAINING, self.training),
            ("inference", workloads.INFERENCE, self.inference),
        ):
            chosen = [w for w in known if w.name in names]
            if chosen:
                print(report.heading(group), flush=True)
            found[group] = []
            for w in chosen:
                entry = measure(w)
                found[group].append(entry)
                print(report.entry_text(group, entry), flush=True)
        for name, other in (("import", self.imports), ("process", self.processes),
                            ("own-steps", self.own_steps), ("own-layers", self.own_layers),
                            ("small-calls", self.small_calls), ("many", self.many),
                            ("callers", self.callers), ("widths", self.widths),
                            ("sweep", self.sweep),
                            ("costs", self.costs)):  # fmt: skip
            if name in names:
                print(report.heading(name), flush=True)
                found[name] = other()
                print(report.other_text(name, found[name]), flush=True)
        found["versions"] = self.versions
        return found

    # Training and inference

    def training(self, w: workloads.Training) -> dict[str, Any]:
        batch_bytes = 4 * w.batch * w.widths[0]
        entry = self._workload(w, [p for p in self.peers if p in TRAINS], self.pace.training_s)
        entry["rows"], entry["batch"] = w.rows, w.batch
        traffic = {
            "weights and moments": (24 * w.parameters, 12 * w.parameters),
            "rows": (batch_bytes, 4.0 * w.rows * w.widths[0]),
        }
        entry["limit"] = self._limit(w.flops_per_step, traffic)
        if self.limits and "densekit-bf16" in entry["peers"]:
            flops = machine.fastest(self.limits, "bfloat16", "float32")
            limits = {**self.limits, "flops": flops}
            entry["limit_bfloat16"] = machine.least_time(w.flops_per_step, traffic, limits)
        return entry

    def inference(self, w: workloads.Inference) -> dict[str, Any]:
        entry = self._workload(w, [p for p in self.peers if p in INFERS], self.pace.inference_s)
        rows = 4.0 * w.rows * w.widths[0]
        entry["rows"] = w.rows
        entry["limit"] = self._limit(
            w.flops_per_call,
            {"weights": (4 * w.parameters, 4 * w.parameters), "rows": (rows, rows)},
        )
        return entry

    def _limit(self, flops: float, traffic: dict[str, tuple[float, float]]) -> Any:
        return self.limits and machine.least_time(flops, traffic, self.limits)

    def _workload(self, w: workloads.Network, peers: list[str], seconds: float) -> dict[str, Any]:
        truth = tempfile.NamedTemporaryFile(suffix=".npz")  # noqa: SIM115 - closed below
        np.savez(truth, **workloads.truth(w))
        truth.flush()
        workers: dict[str, Worker] = {}
        entry: dict[str, Any] = {"name": w.name, "title": workloads.title(w), "peers": {}}
        entry["missing"] = {}
        try:
            for p in peers:  # all start at once
                workers[p] = Worker(p, w.name, self.threads)
            for p in peers:
                try:
                    self.versions[p] = workers[p].answer()["version"]
                except PeerError as error:
                    entry["missing"][p] = str(error)
            ready = {}
            for p in [p for p in peers if p not in entry["missing"]]:
                try:
                    ready[p] = workers[p].ask("check", truth=truth.name)
                    if "skipped" not in ready[p]:
                        warm = workers[p].ask("warm_up", share=self.pace.share)
                        ready[p] |= {"first": warm["first"]} if "first" in warm else {}
                except PeerError as error:
                    ready.pop(p, None)
                    entry["missing"][p] = str(error)
            for p in [p for p, found in ready.items() if "skipped" in found]:
                entry["missing"][p] = ready.pop(p)["skipped"]
            times = self._rounds({p: workers[p] for p in ready}, seconds)
            for p, found in ready.items():
                for path, laps in times[p].items():
                    name = f"{p} {path}".strip()
                    entry["peers"][name] = {**statistics_of(laps), **found, "peer": p}
                if getattr(w, "memory", False):
                    entry["peers"][p]["memory"] = workers[p].ask("memory")
        finally:
            truth.close()
            for worker in workers.values():
                worker.close()
        return entry

    def _rounds(self, workers: dict[str, Worker], seconds: float) -> dict[str, Any]:
        times: dict[str, dict[str, list[float]]] = {p: {} for p in workers}
        spent = dict.fromkeys(workers, 0.0)
        order = list(workers)
        for n in range(self.pace.rounds):
            turn = n % max(1, len(order))
            for p in order[turn:] + order[:turn]:
                if n >= 3 and spent[p] > self.pace.budget_s:
                    continue
                time.sleep(REST_S)
                start = time.perf_counter()
                for path, lap in workers[p].ask("measure", seconds=seconds).items():
                    times[p].setdefault(path, []).append(lap)
                spent[p] += time.perf_counter() - start
        return times

    # Whole processes

    def _process(self, peer: str, *arguments: str) -> float:
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(peer, self.threads),
        )
        return time.perf_counter() - start

    def imports(self) -> dict[str, Any]:
        """Seconds of fresh processes, with what they import."""
        programs = {
            "import numpy": "import numpy",
            "import numpy, densekit": "import numpy, densekit",
            "and what a model needs": (
                "import numpy, densekit as k; "
                "model = k.Sequential([k.Input((4,)), k.layers.Dense(8), k.layers.Dense(1)]); "
                "model.compile('adam', 'mse', metrics=['mae'])"
            ),
        }
        times: dict[str, list[float]] = {name: [] for name in programs}
        for n in range(self.pace.imports + 1):
            for name, program in programs.items():
                lap = self._process("densekit", "-c", program)
                if n:  # the first fills the file cache
                    times[name].append(lap)
        return {name: statistics_of(laps) for name, laps in times.items()}

    def processes(self) -> dict[str, Any]:
        """Seconds from nothing to a trained network on disk."""
        peers = [p for p in self.peers if p in ("densekit", "keras-jax", "keras-torch")]
        times: dict[str, list[float]] = {p: [] for p in peers}
        with tempfile.TemporaryDirectory() as folder:
            for n in range(self.pace.processes + 1):  # the first fills the file cache
                for p in peers:
                    file = str(Path(folder) / f"{p}.keras")
                    lap = self._process(p, str(HERE / "whole_process.py"), p, file)
                    if n:
                        times[p].append(lap)
        return {p: statistics_of(laps) for p, laps in times.items()}

    def own_steps(self) -> dict[str, dict[str, float]]:
        """Seconds of steps that users write, each peer's best of some rounds."""
        return self._best_of("own_steps.py", ("densekit", "keras-jax", "torch"))

    def own_layers(self) -> dict[str, dict[str, float]]:
        """Seconds of a step of `fit` of models with parts that users write."""
        return self._best_of("own_layers.py", ("densekit", "keras-jax"))

    def small_calls(self) -> dict[str, dict[str, float]]:
        """Seconds of calls that do little work."""
        return self._best_of("small_calls.py", ("densekit", "keras-jax"))

    def many(self) -> dict[str, dict[str, float]]:
        """Seconds of a step of many networks, side by side and one after another."""
        return self._best_of("many.py", ("densekit",))

    def _best_of(self, script: str, known_to: tuple[str, ...]) -> dict[str, dict[str, float]]:
        peers = [p for p in self.peers if p in known_to]
        best: dict[str, dict[str, float]] = {}
        for _ in range(min(3, self.pace.rounds)):
            for p in peers:
                command = [sys.executable, str(HERE / script), p,
                           str(self.pace.inference_s / 5), str(self.threads)]  # fmt: skip
                run = subprocess.run(command, capture_output=True, text=True, check=True,
                                     env=environment(p, self.threads))  # fmt: skip
                for name, seconds in json.loads(run.stdout.splitlines()[-1]).items():
                    way = next((w for w in _WAYS if name.endswith(w)), "")
                    step, path = name.removesuffix(way), f"{p}{way}"
                    known = best.setdefault(step, {})
                    if seconds is not None:
                        known[path] = min(seconds, known.get(path, seconds))
        return best

    def callers(self) -> list[dict[str, Any]]:
        """Calls a second of several Python threads that predict at once."""
        peers = [p for p in self.peers if p in INFERS and p != "keras-torch"]
        found = []
        for name in workloads.CALLERS:
            w = workloads.find(name)
            rates: dict[str, list[list[float]]] = {}
            missing: dict[str, str] = {}
            workers = {p: Worker(p, name, self.threads) for p in peers}
            try:
                for p, worker in workers.items():
                    self.versions[p] = worker.answer()["version"]
                    worker.ask("warm_up", share=self.pace.share)
                for _ in range(min(3, self.pace.rounds)):
                    for p in [p for p in peers if p not in missing]:
                        time.sleep(REST_S)
                        try:
                            answer = workers[p].ask("measure_callers", callers=CALLERS,
                                                    seconds=2 * self.pace.inference_s)  # fmt: skip
                        except PeerError as error:
                            missing[p] = str(error)
                            continue
                        for path, seen in answer.items():
                            rates.setdefault(f"{p} {path}", []).append(seen)
            finally:
                for worker in workers.values():
                    worker.close()
            medians = {path: [statistics.median(c) for c in zip(*seen, strict=True)]
                       for path, seen in rates.items()}  # fmt: skip
            found.append({"title": workloads.title(w), "rows": w.rows, "callers": CALLERS,
                          "rates": medians, "missing": missing})  # fmt: skip
        return found

    def widths(self) -> dict[str, list[dict[str, Any]]]:
        """One network in many widths, against the limit and the peers."""
        kept, self.pace = self.pace, replace(self.pace, rounds=min(3, self.pace.rounds))
        keep = [p for p in self.peers if p in WIDTHS_PEERS]
        sizes = workloads.SIZES if kept.share == 1.0 else workloads.SIZES[:2]
        every, self.peers = self.peers, keep
        found: dict[str, list[dict[str, Any]]] = {}
        for kind in workloads.BY_WIDTH:
            measure = self.training if kind == "training" else self.inference
            for width in sizes:
                entry = measure(workloads.by_width(kind, width))  # type: ignore[operator]
                found.setdefault(kind, []).append({"width": width, **entry})
        self.pace, self.peers = kept, every
        return found

    # Tables of densekit's own

    def sweep(self) -> dict[str, Any]:
        """Seconds of one Dense layer over rows and widths, odd ones too."""
        step = 1 if self.pace.share == 1.0 else 7
        found = sweep.empty(sweep.ROWS[::step], sweep.WIDTHS[::step])
        with sweep.Peers([p for p in self.peers if p in sweep.PEERS], {}) as peers:
            while sweep.pending(found):
                sweep.measure_next(found, peers)
        self.versions.update(found["versions"])
        return found

    def costs(self) -> list[dict[str, Any]]:
        """Each component's step over the plain one's."""
        worker = Worker("densekit", "costs", self.threads)
        try:
            self.versions["densekit"] = worker.answer()["version"]
            names = worker.ask("names")
            chosen = range(0, len(names), 1 if self.pace.share == 1.0 else 10)
            return [worker.ask("measure", index=i, rounds=self.pace.rounds) for i in chosen]
        finally:
            worker.close()


def main(arguments: list[str] | None = None) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that workers are closed
    options = parse(arguments, (__doc__ or "").split("\n")[0])
    threads = options.threads or (1 if options.short else min(2, machine.cores()))
    start = time.perf_counter()
    pace = SHORT if options.short else FULL
    if options.rounds:
        pace = Pace(**{**asdict(pace), "rounds": options.rounds})
    usual = SHORT_PEERS if options.short else [p for p in PEERS if p not in ON_REQUEST]
    peers = options.peers or usual
    if "all" in peers:
        peers = list(PEERS)
    bench = Bench(installed(peers), threads, pace)
    results = bench.results(chosen_workloads(options))
    results["seconds"] = time.perf_counter() - start
    results["short"] = options.short
    print(report.closing(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    if options.write:
        for path in publish.write(results, HERE / "results"):
            print(f"wrote {path}")


if __name__ == "__main__":
    main()
