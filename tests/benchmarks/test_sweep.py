"""A sweep goes on where it was left and looks again where it is in doubt."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def modules() -> Any:
    """`sweep` and `report`, which scripts import from their own folder."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return SimpleNamespace(
            **{
                n: importlib.import_module(n)
                for n in ("sweep", "sweep_training", "report", "publish")
            }
        )
    finally:
        sys.path.remove(str(BENCHMARKS))


class Workers:
    """In the place of processes: a peer takes rows x width, densekit half as long, times noise."""

    def __init__(self, noise: list[float]) -> None:
        self.versions = {"densekit": "1", "numpy": "2"}
        self.asked: list[tuple[str, int, list[int]]] = []
        self.workers = {"densekit": self._worker("densekit", 0.5, noise)}
        self.workers["numpy"] = self._worker("numpy", 1.0, [1.0] * 99)

    def _worker(self, name: str, pace: float, noise: list[float]) -> Any:
        def ask(do: str, width: int, rows: list[int]) -> list[float]:
            self.asked.append((name, width, rows))
            factor = noise.pop(0)
            return [1e-6 * pace * width * n * factor for n in rows]

        return SimpleNamespace(ask=ask)


def test_the_grid_has_1015_shapes(modules: Any) -> None:
    rows, widths = modules.sweep.ROWS, modules.sweep.WIDTHS
    assert len(set(rows)) * len(set(widths)) == len(rows) * len(widths) == 1015
    assert (rows[0], rows[-1], widths[0], widths[-1]) == (1, 300, 1, 2100)


def test_it_goes_on_where_it_was_left(modules: Any) -> None:
    sweep = modules.sweep
    found = sweep.empty([1, 2], [3, 4])
    assert sweep.pending(found) == [3, 4]
    sweep.measure_next(found, Workers([1.0]))
    assert not sweep.run(found, Workers([]), seconds=-1, below=1.1)  # out of time
    found = json.loads(json.dumps(found))
    assert sweep.pending(found) == [4] and len(modules.report.sweep_points(found)) == 2
    assert "2 shapes" in modules.report.other_text("sweep", found)
    assert sweep.run(found, peers := Workers([1.0] * 9), seconds=60, below=1.1)
    assert [width for _, width, _ in peers.asked] == [4, 4]
    assert sweep.pending(found) == []


def test_doubtful_shapes_are_measured_again(modules: Any) -> None:
    sweep = modules.sweep
    found = sweep.empty([1, 2], [3, 4])
    peers = Workers([1.0, 4.0, 1.0, 1.0])  # something disturbs the second width
    assert sweep.run(found, peers, seconds=60, below=1.1)
    assert [width for name, width, _ in peers.asked if name == "densekit"] == [3, 4, 4]
    ratios = [point["ratio"] for point in modules.report.sweep_points(found)]
    assert ratios == pytest.approx([2.0] * 4)
    # What stays slower is said, not measured away.
    slow = sweep.empty([1], [3])
    assert sweep.run(slow, Workers([4.0] * 9), seconds=60, below=1.1)
    assert "densekit slower at 1" in modules.report.other_text("sweep", slow)


def test_random_networks_are_the_same_and_bounded(modules: Any) -> None:
    networks = modules.sweep_training.networks(40)
    assert networks[:7] == modules.sweep_training.networks(7)
    assert {n["activation"] for n in networks} == {"relu", "tanh", "gelu"}
    assert (
        {n["normalized"] for n in networks} == {False, True} == {n["dropout"] > 0 for n in networks}
    )
    assert all(3 <= len(n["widths"]) <= 8 and n["rows"] % n["batch"] == 0 for n in networks)


def test_a_sweep_of_training_goes_on_and_looks_again(modules: Any) -> None:
    sweep = modules.sweep_training
    found = {"policy": "float32", "networks": sweep.networks(3), "passes": [0] * 3, "times": {}}
    laps = {"densekit": [1.0, 1.0, 3.0, 1.0], "jax": [2.0] * 4, "torch": [5.0] * 4}  # one disturbed
    workers = {
        p: SimpleNamespace(ask=lambda do, network, seconds, p=p: laps[p].pop(0)) for p in laps
    }
    assert not sweep.run(found, workers, seconds=-1, again=1.2)
    assert sweep.run(found, workers, seconds=60, again=1.2) and found["passes"] == [1, 1, 2]
    found = json.loads(json.dumps(found))
    assert [(p["peer"], p["ratio"]) for p in sweep.points(found)] == [("jax", 2.0)] * 3
    assert "below 1.2x: 0" in sweep.text(found) and sweep.title(found["networks"][0]) in sweep.text(
        found
    )


def test_times_by_width_are_drawn_beside_the_limit(modules: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    lap = {"iqr": 0.0, "rounds": 3, "min": 1e-6}
    entries = [
        {
            "width": width,
            "limit": {"seconds": 1e-7 * width, "term": "arithmetic"},
            "peers": {
                "densekit": {**lap, "peer": "densekit", "median": 2e-7 * width},
                "numpy": {**lap, "peer": "numpy", "median": 4e-7 * width},
            },
        }
        for width in (16, 32)
    ]
    results = {"widths": {"1 row": entries, "training": entries}}
    text = modules.report.other_text("widths", results["widths"])
    assert "1 row, 16 wide" in text and "2.00x" in text and "50.0%" in text
    picture = tmp_path / "widths.svg"
    assert modules.publish.plot_widths(results, picture) and "<svg" in picture.read_text()
    assert not modules.publish.plot_widths({}, picture)
