"""The instruction set in use: the one DENSEKIT_ISA names, else the best this machine has."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import densekit
from densekit import _native


def test_the_active_instruction_set_is_the_one_asked_for() -> None:
    expected = os.environ.get("DENSEKIT_ISA") or _native.available_isas()[0]
    assert _native.active_isa() == expected


def _run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = str(Path(densekit.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_forced_instruction_set_that_the_machine_lacks_is_an_error_not_a_crash() -> None:
    name = "x86-64-v4-amx" if platform.machine() in ("x86_64", "AMD64") else "x86-64-v4"
    run = _run(
        "from densekit import _native as n; print(n.active_isa(), n.tiles_note())",
        DENSEKIT_ISA=name,
    )
    if name in _native.available_isas() and run.returncode == 0:
        assert run.stdout.split() == [name, "used"]
    else:
        assert run.returncode == 1 and "ImportError: DENSEKIT_ISA: expected" in run.stderr
    if _native.active_isa() != "x86-64-v4-amx":
        assert _native.tiles_note() is None


_SMALL_SIGNAL_STACK = """
import ctypes
class Stack(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]
memory = ctypes.create_string_buffer(2048)
stack = Stack(ctypes.addressof(memory), 0, 2048)
small = ctypes.CDLL(None).sigaltstack(ctypes.byref(stack), None) == 0
import numpy as np
import densekit as keras
keras.utils.set_random_seed(0)
keras.config.set_dtype_policy("mixed_bfloat16")
last = keras.layers.Dense(1, dtype="float32")
model = keras.Sequential([keras.Input((40,)), keras.layers.Dense(70, activation="relu"), last])
model.compile("sgd", "mse")
x = np.linspace(-1, 1, 64 * 40, dtype="float32").reshape(64, 40)
model.fit(x, x[:, :1], batch_size=32, verbose=0)
print(float(model.predict(x, verbose=0).sum()).hex(), small, keras._native.tiles_note() or "none")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sigaltstack of Linux")
def test_training_in_bfloat16_bears_a_signal_stack_too_small_for_tiles() -> None:
    """Linux refuses the tiles then; bits are those of the machine's other kernels."""
    run = _run(_SMALL_SIGNAL_STACK)
    assert run.returncode == 0, run.stderr
    total, small, note = run.stdout.split(maxsplit=2)
    if small == "True":
        assert note.strip() == "none" or note.startswith("not used: "), note
    if note.startswith("not used: "):
        assert _run(_SMALL_SIGNAL_STACK, DENSEKIT_ISA="x86-64-v4").stdout.split()[0] == total
