"""A file appears whole or not at all."""

from __future__ import annotations

import stat

import pytest

from densekit.saving._atomic import replacing


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
