"""`ops.numpy`, `ops.nn` and `ops.linalg` hold the ops that Keras keeps there."""

from __future__ import annotations

import importlib
from types import ModuleType

import keras as real
import pytest

from densekit import ops


@pytest.mark.parametrize("name", ["numpy", "nn", "linalg"])
def test_a_namespace_has_the_ops_of_keras_that_are_here(name: str) -> None:
    ours: ModuleType = getattr(ops, name)
    assert ours is importlib.import_module(f"densekit.ops.{name}")
    wanted = {n for n in dir(getattr(real.ops, name)) if n in ops.__all__}
    assert wanted == set(ours.__all__)
    assert all(getattr(ours, n) is getattr(ops, n) for n in wanted)


def test_most_ops_of_keras_are_here() -> None:
    theirs = [n for n in dir(real.ops) if callable(getattr(real.ops, n))]
    missing = [n for n in theirs if n not in ops.__all__]
    assert len(theirs) == 337
    assert len(missing) == 20, missing
