"""The short run works, its peers agree with float64, and the tables say what was measured."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def modules() -> Any:
    """`workloads` and `report`, which scripts import from their own folder."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield {name: importlib.import_module(name) for name in ("workloads", "report")}
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    file = tmp_path_factory.mktemp("bench") / "results.json"
    command = [sys.executable, str(BENCHMARKS / "run.py"), "--short", "--rounds", "1"]
    command += ["--only", "tabular", "digits-1", "--json", str(file)]
    command += ["--peers", "densekit", "jax", "sklearn", "numpy"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(file.read_text())


def test_peers_agree_with_float64_after_equal_work(results: dict[str, Any]) -> None:
    trained, called = results["training"][0], results["inference"][0]
    wanted = ["densekit", "jax"] + ["sklearn"] * bool(importlib.util.find_spec("sklearn"))
    assert sorted(trained["peers"]) == wanted and not trained["missing"]
    assert {r["peer"] for r in called["peers"].values()} == {"densekit", "jax", "numpy"}
    # 20 steps of 0.001 move a prediction by 0.01 and more; rounding, by 1e-6.
    errors = {name: r["error"] for e in (trained, called) for name, r in e["peers"].items()}
    assert max(errors.values()) < 1e-5, errors


def test_times_and_limits_are_plausible(results: dict[str, Any]) -> None:
    for entry in results["training"] + results["inference"]:
        for name, r in entry["peers"].items():
            assert r["median"] >= r["min"] > 0, name
            if entry["limit"]:
                assert r["min"] > 0.5 * entry["limit"]["seconds"], f"{name}: faster than it can be"


def test_limits_are_those_of_the_fastest_unit(results: dict[str, Any], modules: Any) -> None:
    limits = results["limits"]
    if limits is None:
        return  # no compiler to measure with
    units = [u for u in limits["units"] if u["type"] == "float32"]
    assert limits["flops"] == max(u["flops"] for u in units) > 0
    assert {u["type"] for u in limits["units"]} >= {"float32", "float64"}
    # A loop whose chains wait for each other would leave wide vectors no faster than narrow ones.
    by_bits = {u["bits"]: u["flops"] for u in units}
    assert max(by_bits) == 128 or by_bits[max(by_bits)] > 1.2 * by_bits[128]
    text = modules["report"].machine_text(results)
    assert all(u["unit"] in text for u in units)


def test_share_of_bfloat16_is_of_its_own_limit(modules: Any) -> None:
    r = {"median": 1.0, "min": 1.0, "iqr": 0.0, "rounds": 3, "first": 1.0, "note": "", "error": 0.0}
    limit = {"seconds": 0.8, "term": "arithmetic"}
    entry = {
        "name": "wide", "title": "1-1", "rows": 1, "batch": 1, "missing": {}, "limit": limit,
        "limit_bfloat16": {"seconds": 0.2, "term": "arithmetic"},
        "peers": {"densekit": {**r, "peer": "densekit"},
                  "densekit-bf16": {**r, "median": 0.5, "peer": "densekit-bf16"}},
    }  # fmt: skip
    text = modules["report"].entry_text("training", entry)
    assert "80.0%" in text and "40.0%" in text and "160" not in text


def test_tables_name_every_peer(results: dict[str, Any], modules: Any) -> None:
    text = modules["report"].markdown(results)
    for peer in ("densekit", "jax", "numpy"):
        assert peer in text
    assert "20-32-16-1" in text and results["machine"]["cpu"] in text


@pytest.mark.parametrize("name", ["tabular", "deep", "big-tabular"])
def test_float64_mathematics_is_its_own_derivative(name: str, modules: Any) -> None:
    """Gradients of the reference against differences of its loss."""
    workloads = modules["workloads"]
    w = workloads.find(name)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((8, w.widths[0]))
    y = rng.integers(0, w.widths[-1], 8) if w.output == "softmax" else rng.random((8, 1))
    weights = [(k.astype(np.float64), b + rng.random(b.shape)) for k, b in w.weights()]

    def loss() -> float:
        p = workloads._forward(w, weights, x)[-1]
        if w.output == "softmax":
            return float(-np.log(p[np.arange(8), y]).mean())
        if w.output == "sigmoid":
            return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())
        return float(((p - y) ** 2).mean())

    gradients = workloads._gradients(w, weights, x, y)
    for p, g in zip([p for pair in weights for p in pair], gradients, strict=True):
        at = tuple(n // 2 for n in p.shape)
        kept, h = p[at], 1e-6
        p[at] = kept + h
        above = loss()
        p[at] = kept - h
        difference = (above - loss()) / (2 * h)
        p[at] = kept
        # h^2 truncation, eps/h cancellation: 1e-9 of a loss near 1
        assert abs(difference - g[at]) < 1e-8


def test_roofline_names_the_longer_term(modules: Any) -> None:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        machine = importlib.import_module("machine")
    finally:
        sys.path.remove(str(BENCHMARKS))
    measured = {
        "threads": 1,
        "flops": 1e11,
        "bytes": dict.fromkeys(("L1", "L2", "L3", "memory"), 1e10),
        "partly": {5e7: 2e10},
    }
    arithmetic = machine.least_time(1e6, {"weights": (1e3, 1e3)}, measured)
    assert arithmetic == {"seconds": 1e-5, "term": "arithmetic"}
    traffic = machine.least_time(1e3, {"weights": (1e6, 1e12)}, measured)
    assert traffic == {"seconds": 1e-4, "term": "weights from memory"}
    partly = machine.least_time(1e3, {"weights": (1e6, 5e7)}, measured)
    assert partly == {"seconds": 5e-5, "term": "weights from L3 and memory"}
