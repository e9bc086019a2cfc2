"""Rooms: what they list is what they have, and asking for one name loads one file."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import densekit as keras
from densekit._core import registry, rooms

rooms.load_all()
ROOMS = sorted(rooms._rooms)

A_MODEL = """
import sys
import densekit as keras
model = keras.Sequential(
    [keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1)]
)
model.compile("adam", "mse", metrics=["mae"])
print(*sys.modules)
"""
# Dear modules of the standard library, rooms that wait for `fit` or a file, other components.
NOT_NEEDED = {
    *("json", "logging", "shutil", "tempfile", "zipfile", "pathlib", "dataclasses", "csv", "h5py"),
    "difflib",  # it looks for what a wrong name meant: no name was wrong
    *("densekit._native", "densekit.engines.native", "densekit.callbacks._callback"),
    *("densekit.saving._api", "densekit.saving._h5", "densekit.models._summary"),
    *("densekit.ops._arithmetic", "densekit.ops._operation", "densekit.layers._dropout"),
    *("densekit.metrics._auc", "densekit.losses._focal", "densekit.optimizers._sgd"),
    *(
        "densekit.activations._smooth",
        "densekit.constraints._norms",
        "densekit.regularizers._l1_l2",
    ),
}


def fresh_modules(program: str) -> set[str]:
    """What a new process has loaded when it ends."""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return set(run.stdout.split())


def names_for_type_checkers(package: str) -> set[str]:
    source = Path(importlib.import_module(package).__file__ or "").read_text()
    [block] = (
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    names: set[str] = set()
    for node in block.body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        else:
            assert isinstance(node, ast.Assign)
            names |= {ast.unparse(target) for target in node.targets}
    return names


def test_a_model_loads_what_it_needs() -> None:
    loaded = fresh_modules(A_MODEL)
    assert {"densekit.optimizers._adam", "densekit.layers._dense"} <= loaded
    assert not loaded & NOT_NEEDED
    assert sum(name.startswith("densekit.") for name in loaded) <= 143


@pytest.mark.parametrize(
    "program",
    [
        "x = keras.Input((4,)); print(keras.Model(x, keras.layers.Dense(3)(x)).count_params())",
        "keras.Model.from_config(keras.Model(x := keras.Input((4,)), x).get_config())",
        "class M(keras.Model): pass\nx = keras.Input((4,)); M(x, keras.layers.Dense(3)(x))",
    ],
)
def test_nothing_waits_for_a_module_that_nobody_loads(program: str) -> None:
    fresh_modules("import densekit as keras\n" + program)


def test_what_is_not_needed_exists() -> None:
    for name in NOT_NEEDED - {"h5py"}:
        importlib.import_module(name)


def test_one_metric_loads_no_other() -> None:
    loaded = fresh_modules(
        "import sys, densekit as k; k.metrics.get('auc'); k.losses.get('mse'); print(*sys.modules)"
    )
    assert "densekit.metrics._auc" in loaded
    assert not {"densekit.metrics._f_score", "densekit.losses._hinge"} & loaded


@pytest.mark.parametrize("package", ROOMS)
def test_a_room_lists_the_same_names_twice(package: str) -> None:
    room = importlib.import_module(package)
    assert set(room.__all__) == names_for_type_checkers(package)
    assert set(room.__all__) <= set(dir(room))
    for name in room.__all__:
        assert getattr(room, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Desne'"):
        room.Desne  # noqa: B018


@pytest.mark.parametrize("package", [p for p in ROOMS if p != "densekit"])
def test_components_are_found_by_name(package: str) -> None:
    module = package.replace("densekit", "keras")
    for name, component in registry.components(module).items():
        assert getattr(importlib.import_module(package), name) is component


def test_a_file_may_name_what_is_not_loaded() -> None:
    program = (
        "from densekit._core.registry import builtin; import sys;"
        "assert builtin('keras.metrics', 'AUC') and builtin('keras.src.ops.numpy', 'Add');"
        "assert builtin('keras.optimizers.schedules', 'CosineDecay');"
        "assert builtin('keras.metrics', 'Nothing') is None; print(*sys.modules)"
    )
    assert "densekit.metrics._auc" in fresh_modules(program)


def test_a_name_may_be_that_of_a_room() -> None:
    assert keras.optimizers.schedules is sys.modules["densekit.optimizers.schedules"]
    assert keras.layers is sys.modules["densekit.layers"]
