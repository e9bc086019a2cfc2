"""Processes that do not do the same together say so, and do not wait for each other."""

from __future__ import annotations

import threading

import jax
import pytest

from densekit.engines.jax import in_step


class Board:
    """Where two processes write; the other one by `tell`."""

    def __init__(self) -> None:
        self.written: dict[str, str] = {}
        self.asked = 0

    def key_value_set(self, key: str, value: str, *, allow_overwrite: bool) -> None:
        assert allow_overwrite
        self.written[key] = value

    def key_value_dir_get(self, key: str) -> list[tuple[str, str]]:
        self.asked += 1
        return [pair for pair in list(self.written.items()) if pair[0].startswith(key)]

    def tell(self, number: int, what: str) -> None:
        self.written[f"{in_step._folder(number)}1"] = f"{number} {what}"


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    made = Board()
    monkeypatch.setattr(in_step, "_board", lambda: made)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    return made


def test_who_reads_alone_is_told_what_others_do(board: Board) -> None:
    now = in_step.announce("run steps")
    board.tell(now + 1, "run steps")
    with pytest.raises(
        RuntimeError, match="variable 'k': expected all 2 processes to read 'k', got"
    ):
        in_step.meet("variable 'k'", "read 'k'")


def test_those_who_read_together_go_on_and_may_be_ahead(board: Board) -> None:
    now = in_step.announce("run steps")
    board.tell(now + 1, "read 'k'")
    board.tell(now + 2, "run steps")  # it has seen this process come
    in_step.meet("variable 'k'", "read 'k'")
    assert board.asked == 1


def test_who_is_first_waits(board: Board) -> None:
    now = in_step.announce("run steps")
    board.tell(now + 1 - in_step._REMEMBERED, "predict")  # long ago, in the same place
    reader = threading.Thread(target=in_step.meet, args=("variable 'k'", "read 'k'"))
    reader.start()
    while board.asked < 3:
        assert reader.is_alive()
    board.tell(now + 1, "read 'k'")
    reader.join(timeout=10)
    assert not reader.is_alive()


def test_one_process_meets_nobody() -> None:
    in_step.meet("variable 'k'", "read 'k'")
