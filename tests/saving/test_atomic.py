"""A file appears whole or not at all."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys

import pytest

import densekit as keras
from densekit.saving._atomic import _prefix, replacing


def test_success_replaces_the_old_file(tmp_path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with replacing(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_failure_keeps_the_old_file(tmp_path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(target) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_rights_are_those_of_a_plain_file_or_of_the_old_one(tmp_path) -> None:
    plain, target = tmp_path / "plain", tmp_path / "a"
    plain.write_text("")
    for expected in (plain.stat().st_mode, 0o640):
        with replacing(target) as temporary:
            temporary.write_text("x")
        assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(expected)
        target.chmod(0o640)


KILLED = """
import os, signal, sys
import densekit as keras
from densekit.saving import _keras_zip, _legacy_h5

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

_keras_zip.write_state = _legacy_h5._write_weights = die
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
model.save(sys.argv[1])
"""


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_what_a_killed_process_left_goes_with_the_next_save(name, tmp_path) -> None:
    target = tmp_path / name
    run = subprocess.run([sys.executable, "-c", KILLED, str(target)], check=False)
    assert run.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir())
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(target)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_what_living_processes_and_others_keep_there_stays(tmp_path) -> None:
    target = tmp_path / "m"
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mine = _prefix(target).replace(f".{os.getpid()}.", f".{sleeper.pid}.") + "abc.tmp"
    others = [
        mine,
        ".m.abc.tmp",
        ".m.00000000.1.abc.tmp",
        "m.tmp",
        _prefix(tmp_path / "n") + ".tmp",
    ]
    for name in others:
        (tmp_path / name).write_text("")
    with replacing(target) as temporary:
        temporary.write_text("x")
    assert {p.name for p in tmp_path.iterdir()} == {"m", *others}
    sleeper.communicate(b"\n")
    with replacing(target) as temporary:
        temporary.write_text("x")
    assert {p.name for p in tmp_path.iterdir()} == {"m", *others[1:]}
