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


def test_wgan_with_gradient_penalty(tmp_path: Path) -> None:
    printed = run(tmp_path, "wgan_gp.py", "--epochs", "2")
    assert "of 8 modes" in printed
    assert is_picture(tmp_path / "wgan_gp.png")


def test_vae(tmp_path: Path) -> None:
    printed = run(tmp_path, "vae.py", "--epochs", "10")
    loss = re.search(r"loss ([\d.]+)", printed)
    assert loss is not None
    assert float(loss[1]) < 32  # the mean image alone leaves 33
    assert is_picture(tmp_path / "vae.png")


def test_dqn(tmp_path: Path) -> None:
    printed = run(tmp_path, "dqn.py", "--updates", "2500")
    steps = re.search(r"100 episodes: (\d+) of 200", printed)
    assert steps is not None
    assert int(steps[1]) > 60  # pushes at random keep it up for 20
    assert is_picture(tmp_path / "dqn.png")


def test_actor_critic(tmp_path: Path) -> None:
    printed = run(tmp_path, "actor_critic.py", "--updates", "200")
    steps = re.search(r"100 episodes: (\d+) of 200", printed)
    assert steps is not None
    assert int(steps[1]) > 60
    assert is_picture(tmp_path / "actor_critic.png")


def test_physics_informed_network(tmp_path: Path) -> None:
    printed = run(tmp_path, "pinn.py")
    error = re.search(r"largest error ([\d.]+)", printed)
    assert error is not None
    assert float(error[1]) < 0.05
    assert is_picture(tmp_path / "pinn.png")


def test_feature_space(tmp_path: Path) -> None:
    printed = run(tmp_path, "feature_space.py", "--rows", "3000", "--epochs", "8")
    found = re.search(r"accuracy: ([\d.]+)%, guessing the larger class ([\d.]+)%", printed)
    assert found is not None
    assert float(found[1]) > float(found[2]) + 20
    assert "predictions equal to the last bit" in printed


def test_quantized_digits(tmp_path: Path) -> None:
    printed = run(tmp_path, "quantize_digits.py", "--units", "128", "--epochs", "12")
    rows = re.findall(r"^(float32|int\d.*?) {2,}(\d+) +([\d.]+) % +([\d.]+)", printed, re.M)
    assert [row[0] for row in rows] == [
        "float32",
        "int8",
        "int4, groups of 16",
        "int4, groups of 128",
    ]
    sizes = [int(row[1]) for row in rows]
    assert sizes[1] < 0.5 * sizes[0]
    accuracies = [float(row[2]) for row in rows]
    assert accuracies[0] >= 94
    assert accuracies[1] >= accuracies[0] - 1
    assert 0 < float(rows[1][3]) < 0.1
    assert is_picture(tmp_path / "quantize_digits.png")
