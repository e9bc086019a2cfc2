"""The instruction set in use: the one DENSEKIT_ISA names, else the best this machine has."""

from __future__ import annotations

import os

from densekit import _native


def test_the_active_instruction_set_is_the_one_asked_for() -> None:
    expected = os.environ.get("DENSEKIT_ISA") or _native.available_isas()[0]
    assert _native.active_isa() == expected
