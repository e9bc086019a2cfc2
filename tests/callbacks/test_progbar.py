"""What `fit` and `summary` write to terminals of all kinds, notebooks, pipes and files."""

from __future__ import annotations

import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import densekit as keras

FIT = """
import numpy as np, densekit as keras
class Pause(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        import time
        time.sleep(0.06 if batch < 5 else 0)
x = np.ones((320, 4), "float32")
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)])
model.compile("sgd", "mse", metrics=["mae"])
model.fit(x, x[:, 0], epochs=2, validation_data=(x, x[:, 0]), callbacks=[Pause()], verbose=%d)
"""
SUMMARY = """
import densekit as keras
inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="inner")
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="caf\\u00e9"), inner])
model.summary(expand_nested=True)
model.summary(print_fn=print, expand_nested=True)
"""
PACKAGES = str(Path(keras.__file__).parents[1])


def environment(**variables: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}
    path = os.pathsep.join([PACKAGES, os.environ.get("PYTHONPATH", "")])
    return {**kept, "PYTHONPATH": path, "TERM": "xterm", "PYTHONIOENCODING": "utf-8", **variables}


def in_terminal(code: str, columns: int = 80, **variables: str) -> str:
    """What a script writes to a terminal."""
    ours, theirs = pty.openpty()
    _resize(theirs, columns)
    run = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=environment(**variables),
    )
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    assert run.stderr is not None
    errors = run.stderr.read().decode()
    run.stderr.close()
    assert run.wait() == 0, errors
    encoding = variables.get("PYTHONIOENCODING", "utf-8")
    return b"".join(parts).decode(encoding).replace("\r\n", "\n")


def _resize(terminal: int, columns: int) -> None:
    import fcntl

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


def in_pipe(code: str, **variables: str) -> str:
    """What a script writes to a pipe."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=environment(**variables), check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode(variables.get("PYTHONIOENCODING", "utf-8"))


def bare(text: str) -> str:
    """`text` without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def states(text: str) -> list[str]:
    """Everything a line of the terminal showed, one after the other."""
    return [state for line in bare(text).split("\n") for state in line.split("\r")]


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_no_state_of_the_bar_breaks_the_line(columns: int) -> None:
    text = in_terminal(FIT % 1, columns)
    assert "\b" not in text
    assert len(states(text)) > 6, "it moves"
    assert max(map(len, states(text))) < columns
    shown = bare(text).replace("\n   ", "")
    assert len(re.findall(r"- val_mae: [\d.e+-]+ +- |- val_mae: [\d.e+-]+", shown)) >= 2


def test_a_wide_terminal_shows_the_bar_of_keras() -> None:
    last = in_terminal(FIT % 1, 200).strip().split("\r")[-1]
    pattern = (
        r"\x1b\[1m10/10\x1b\[0m \x1b\[32m━{20}\x1b\[0m\x1b\[37m\x1b\[0m \x1b\[1m\ds\x1b\[0m "
        r"\d+[mu]s/step - loss: .* - mae: .* - val_loss: .* - val_mae: .*"
    )
    assert re.fullmatch(pattern, last.rstrip())


def test_without_colours_the_parts_of_the_bar_differ() -> None:
    text = in_terminal(FIT % 1, NO_COLOR="1")
    assert "\x1b" not in text
    assert re.search(r" ━+─+ ", text)
    assert "\r" in text.replace("\r\n", "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_the_bar_in_other_encodings(encoding: str) -> None:
    text = in_terminal(FIT % 1, NO_COLOR="1", PYTHONIOENCODING=encoding)
    assert re.search(r" =+\.+ ", text)
    assert re.search(r"=+\x1b\[0m\x1b\[37m\.+", in_terminal(FIT % 1, PYTHONIOENCODING=encoding))


def plain_output(where: str) -> str:
    if where == "dumb terminal":
        return in_terminal(FIT % 1, 200, TERM="dumb")
    return in_pipe(FIT % 1)


@pytest.mark.parametrize("where", ["pipe", "dumb terminal"])
def test_what_cannot_overwrite_gets_the_end_of_each_epoch(where: str) -> None:
    text = plain_output(where)
    assert not set(text) & set("\b\r\x1b")
    lines = text.strip().split("\n")
    assert [line.split(" ")[0] for line in lines] == ["Epoch", "10/10", "Epoch", "10/10"]
    assert all("val_loss" in line for line in lines[1::2])


@pytest.mark.parametrize("where", ["pipe", "terminal"])
def test_verbose_2_is_a_line_for_each_epoch(where: str) -> None:
    text = in_pipe(FIT % 2) if where == "pipe" else in_terminal(FIT % 2)
    lines = text.strip().split("\n")
    assert len(lines) == 2
    for epoch, line in enumerate(lines, 1):
        assert line.startswith(f"Epoch {epoch}/2 - 10/10 - ")


def test_a_notebook_gets_few_updates_and_no_backspaces() -> None:
    text = in_pipe("import sys, types; sys.modules['ipykernel'] = types.ModuleType('k')" + FIT % 1)
    assert "\b" not in text
    assert "\x1b[32m" in text
    assert 2 <= text.count("\r") <= 6


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "koi8-r", "utf-8"])
def test_summary_in_any_encoding(encoding: str) -> None:
    text = in_pipe(SUMMARY, PYTHONIOENCODING=encoding)
    assert text.count("inner (Sequential)") == 2
    if encoding == "utf-8":
        assert "┏━" in text
    if encoding == "ascii":
        assert "+--" in text
        assert "caf\\xe9" in text
    if encoding == "latin-1":
        assert "caf\xe9" in text


@pytest.mark.parametrize("columns", ["1", "12", "30", "60"])
def test_summary_in_narrow_terminals(columns: str) -> None:
    text = in_pipe(SUMMARY, COLUMNS=columns)
    assert text.count("Trainable params") == 2


def test_no_standard_output_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    history: Any = model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=1)
    model.summary()
    assert history.history["loss"]
