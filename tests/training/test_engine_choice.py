"""Which engine a model gets: by `compile`, by the settings, by the environment."""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
import types
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import engines
from densekit._core import settings
from densekit.engines import NativeEngine, ReferenceEngine, kinds
from densekit.engines.reference import ReferenceKind

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
Y = X[:, :2]


@pytest.fixture(autouse=True)
def default_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("DENSEKIT_ENGINE", raising=False)
    settings.put("engine", None)
    yield
    settings.put("engine", None)


def small() -> Any:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])


def kinds_in(model: Any) -> set[type]:
    return {type(engine) for engine in model._dk_runtime._engines.values()}


@pytest.mark.parametrize("choose", ["compile", "setting", "environment"])
def test_everything_runs_on_the_engine_that_was_chosen(
    choose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if choose == "setting":
        keras.config.set_engine("reference")
    if choose == "environment":
        monkeypatch.setenv("DENSEKIT_ENGINE", "reference")
    model = small()
    given = {"engine": "reference"} if choose == "compile" else {}
    model.compile("sgd", "mse", **given)
    model.fit(X, Y, verbose=0)
    model.evaluate(X, Y, verbose=0)
    model.predict(X, verbose=0)
    model(X)
    model.train_on_batch(X, Y)
    assert kinds_in(model) == {ReferenceEngine}


def test_compile_changes_the_engine_of_calls_too() -> None:
    model = small()
    before = model(X)
    model(X)
    assert kinds_in(model) == {NativeEngine}
    model.compile("sgd", "mse", engine="reference")
    np.testing.assert_allclose(model(X), before, rtol=1e-5, atol=1e-6)
    assert kinds_in(model) == {ReferenceEngine}
    model.compile("sgd", "mse")
    np.testing.assert_array_equal(model(X), before)
    assert kinds_in(model) == {NativeEngine}


def test_the_engine_is_the_models_own() -> None:
    """A setting counts when a model is compiled, or first used: not later."""
    model = small()
    model.compile("sgd", "mse")
    keras.config.set_engine("reference")
    assert keras.config.engine() == "reference"
    model.fit(X, Y, verbose=0)
    assert kinds_in(model) == {NativeEngine}
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert kinds_in(model) == {ReferenceEngine}


def test_configs_and_copies() -> None:
    model = small()
    model.compile("sgd", "mse")
    assert "engine" not in model.get_compile_config()
    model.compile("sgd", "mse", engine="reference")
    assert model.get_compile_config()["engine"] == "reference"
    for copy in (pickle.loads(pickle.dumps(model)), small()):
        if not copy.compiled:
            copy.compile_from_config(model.get_compile_config())
        copy.fit(X, Y, verbose=0)
        assert kinds_in(copy) == {ReferenceEngine}


@pytest.mark.parametrize("name", ["jx", 3])
def test_unknown_names(name: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small()
    model.compile("sgd", "mse")
    optimizer = model.optimizer
    text = "'native', 'reference', 'jax'"
    with pytest.raises(ValueError, match=text):
        model.compile("adam", "mse", engine=name)
    assert model.optimizer is optimizer
    with pytest.raises(ValueError, match=text):
        keras.config.set_engine(name)
    assert keras.config.engine() == "native"
    settings.put("engine", None)
    monkeypatch.setenv("DENSEKIT_ENGINE", str(name))
    with pytest.raises(ValueError, match="DENSEKIT_ENGINE"):
        small().compile("sgd", "mse")


@pytest.mark.parametrize("installed", [None, "0.7.2"])
def test_jax_that_is_missing_or_too_old(
    installed: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        if installed is None:
            raise metadata.PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(metadata, "version", version)
    text = rf"got {installed or 'none installed'}\. Run `pip install \"densekit\[jax\]\"`\.$"
    model = small()
    with pytest.raises(ImportError, match=text):
        model.compile("sgd", "mse", engine="jax")
    assert not model.compiled
    with pytest.raises(ImportError, match=text):
        keras.config.set_engine("jax")
    monkeypatch.setenv("DENSEKIT_ENGINE", "jax")
    with pytest.raises(ImportError, match=text):
        keras.config.engine()


def test_jax_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise ImportError("no jaxlib")

    monkeypatch.setattr(kinds, "_loaded", {})
    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(ImportError, match=r"no jaxlib\. Run `pip install \"densekit\[jax\]\"`"):
        kinds.engine_kind("jax")


def test_choosing_jax_prints_nothing_and_nothing_else_loads_it() -> None:
    script = """
import sys
import densekit as keras, numpy as np
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
model.compile("sgd", "mse", engine="jax")
assert "jax" not in sys.modules
model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
assert "jax" in sys.modules
"""
    path = str(Path(keras.__file__).parents[1])
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_another_room_adds_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    class Kind(ReferenceKind):
        name = "counted"

        def make(self, *args: Any) -> Any:
            made.append(super().make(*args))
            return made[-1]

    monkeypatch.setattr(kinds, "_modules", dict(kinds._modules))
    module = types.ModuleType("counted_engine")
    module.ENGINE = Kind()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "counted_engine", module)
    engines.register_engine("counted", "counted_engine")
    model = small()
    model.compile("sgd", "mse", engine="counted")
    model.fit(X, Y, verbose=0)
    assert len(made) == 1


def test_the_environment_is_read_by_a_new_process() -> None:
    script = "import densekit as keras; print(keras.config.engine())"
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={"DENSEKIT_ENGINE": "reference", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "reference\n"
