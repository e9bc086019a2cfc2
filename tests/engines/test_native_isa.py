"""The instruction set in use: the one DENSEKIT_ISA names, else the best this machine has."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import densekit
from densekit import _native


def test_the_active_instruction_set_is_the_one_asked_for() -> None:
    expected = os.environ.get("DENSEKIT_ISA") or _native.available_isas()[0]
    assert _native.active_isa() == expected


def test_a_forced_instruction_set_that_the_machine_lacks_is_an_error_not_a_crash() -> None:
    name = "x86-64-v4-amx" if platform.machine() in ("x86_64", "AMD64") else "x86-64-v4"
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "from densekit import _native as n; print(n.active_isa(), n.tiles_note())",
        ],
        env={
            **os.environ,
            "DENSEKIT_ISA": name,
            "PYTHONPATH": str(Path(densekit.__file__).parents[1]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if name in _native.available_isas() and run.returncode == 0:
        assert run.stdout.split() == [name, "used"]
    else:
        assert run.returncode == 1 and "ImportError: DENSEKIT_ISA: expected" in run.stderr
    if _native.active_isa() != "x86-64-v4-amx":
        assert _native.tiles_note() is None
