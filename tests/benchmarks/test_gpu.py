"""The benchmark for GPUs runs on any device with tiny sizes, and says what it could not measure."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import densekit

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("gpu")


def test_tiny_sizes_run_and_peers_agree_with_float64(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--tiny", "--json", str(file)]
    command += ["--only", "narrow-14", "broad", "many"]
    command += ["--peers", "densekit", "jax", "torch-graphs"]
    paths = os.pathsep.join([str(Path(densekit.__file__).parents[1]), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    narrow, broad, many = json.loads(file.read_text())["workloads"].values()
    for peer in ("densekit", "jax"):
        assert narrow[peer]["error"] < 1e-5, narrow
        assert narrow[peer]["inference"] > 0
        assert broad[peer]["median"] > 0, broad
        assert many[peer]["error"] < 1e-5, many
    assert "missing" in narrow["torch-graphs"]  # not installed, or no GPU
    assert "float32" in done.stdout and "mixed_bfloat16" in done.stdout


def test_tables_compare_with_the_peak_and_the_reference(gpu: ModuleType) -> None:
    assert gpu.peak("NVIDIA H100 80GB HBM3") == 989e12
    assert gpu.peak("cpu") is None
    laps = {"median": 1.0, "min": 0.9, "max": 1.1, "first": 2.0, "note": ""}
    work = gpu.gpu_workloads.find("broad", False)
    assert work.flops_per_step > 3e12  # 3 products of 8192 rows by 4096 x 4096, four times over
    fast = {**laps, "median": work.flops_per_step / 494.5e12, "device": "NVIDIA H200"}
    assert "50.0%" in gpu.entry_text(work, {"densekit": fast, "torch": {"missing": "absent"}})
    eleven = gpu.gpu_workloads.find("narrow-11-layers", False)
    assert "tiny-cuda-nn" in gpu.entry_text(eleven, {"jax": {**laps, "device": "cpu"}})
    assert {work.name for work in gpu.gpu_workloads.FULL} >= {"digits", "many", "narrow-17"}
