"""Hostile files made from genuine ones, by systematic changes of their parts."""

from __future__ import annotations

from pathlib import Path

from .archives import byte_cases, zip_cases
from .configs import bomb_cases, config_cases, slot_cases
from .hdf5 import h5_cases, legacy_cases
from .parts import Parts

GENERATORS = (
    slot_cases,
    config_cases,
    bomb_cases,
    h5_cases,
    legacy_cases,
    zip_cases,
    byte_cases,
)


def cases(folder: Path) -> list[tuple[str, str, str]]:
    """Write all files; ``(name, what must happen, path)`` of each."""
    parts = Parts(folder)
    return [
        (name, wanted, str(path))
        for generate in GENERATORS
        for name, wanted, path in generate(parts, folder)
    ]
