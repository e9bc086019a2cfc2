"""densekit: Keras' `Dense` layer done whole, on a small native core.

``import densekit as keras`` runs Keras code for dense networks. This file is the shop window:
public names only; a room is loaded when one of its names is first used, so importing is quick.
"""

from __future__ import annotations

import importlib
from typing import Any

from densekit._core.registry import on_missing

__version__ = "0.1.0"

_ROOMS = (
    "activations",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "dtype_policies",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "random",
    "regularizers",
    "saving",
    "tree",
    "utils",
)

# Names Keras offers at the top, and the room each lives in.
_NAMES = {
    "DTypePolicy": "dtype_policies",
    "Initializer": "initializers",
    "Input": "layers",
    "InputSpec": "layers",
    "KerasTensor": "ops",
    "Layer": "layers",
    "Loss": "losses",
    "Metric": "metrics",
    "Model": "models",
    "Operation": "ops",
    "Optimizer": "optimizers",
    "Regularizer": "regularizers",
    "Sequential": "models",
    "StatelessScope": "backend",
    "Variable": "backend",
}


def version() -> str:
    """The version of densekit."""
    return __version__


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"densekit.{name}")
    if name in _NAMES:
        value = getattr(importlib.import_module(f"densekit.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'densekit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*_ROOMS, *_NAMES, "__version__", "version"})


def _load_rooms() -> None:
    """Import every room with components that a file may name."""
    for room in ("layers", "losses", "metrics", "optimizers", "models", "random"):
        importlib.import_module(f"densekit.{room}")


on_missing(_load_rooms)
