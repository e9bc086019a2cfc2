"""The examples run as a newcomer runs them, and keep what they promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import densekit

PACKAGE = Path(densekit.__file__).parents[1]
EXAMPLES = Path(__file__).parents[2] / "examples"


def run(folder: Path, name: str, *arguments: str) -> str:
    """What the example prints when run in an empty folder."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, *arguments],
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def is_picture(path: Path) -> bool:
    """A PNG with something in it."""
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000


def test_digits(tmp_path: Path) -> None:
    printed = run(tmp_path, "digits.py")
    accuracy = re.search(r"Held-out accuracy: ([\d.]+) %", printed)
    assert accuracy is not None
    assert float(accuracy[1]) >= 97
    assert "predictions equal to the last bit" in printed
    assert is_picture(tmp_path / "digits.png")
    assert (tmp_path / "digits.keras").exists()


def test_wgan(tmp_path: Path) -> None:
    printed = run(tmp_path, "wgan.py", "--steps", "20")
    assert "step    20" in printed
    assert is_picture(tmp_path / "wgan.png")
