"""README's table is that of the results, with columns for each maker that has any."""

from __future__ import annotations

import copy
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "readme_benchmarks.py"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("readme_benchmarks", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_readme_is_current(script: Any) -> None:
    text = script.README.read_text()
    assert script.page(text) == text
    stale = text.replace("| training step, 20-32-16-1, batch 32 | ", "| training step | ")
    assert stale != text and script.page(stale) == text


def test_a_maker_has_columns_when_it_has_results(script: Any, tmp_path: Path) -> None:
    results = next(iter(script.newest(script.RESULTS).values()))
    (tmp_path / "2026-01-01-a.json").write_text(json.dumps(results))
    one = script.table(tmp_path).splitlines()
    other = copy.deepcopy(results)
    other["machine"]["cpu"] = "Intel(R) Xeon(R) Processor"
    for r in other["training"][0]["peers"].values():
        r["median"] *= 2
    (tmp_path / "2026-01-02-b.json").write_text(json.dumps(other))
    both = script.table(tmp_path).splitlines()
    assert one[0].count("densekit") == 1 and both[0].count("densekit") == 2
    assert "AMD" in both[0] and "Intel" in both[0] and len(one) == len(both)
    first, second = both[2].split(" | ")[1], both[2].split(" | ")[5]
    assert first != second  # each its own numbers
    # A run that lacks a row does not take the place of one that has all.
    del other["training"][0]
    (tmp_path / "2026-01-03-c.json").write_text(json.dumps(other))
    assert script.table(tmp_path).splitlines() == both
