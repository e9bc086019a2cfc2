"""Hundreds of hostile files, opened in one process under limits of memory and time.

Each is refused with a ValueError or TypeError, or, where a change may be harmless, loaded; quickly,
without much memory, and without a crash of the process. A model whose weights cannot be read keeps
those it has.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.saving.hostile.cases import cases
from tests.saving.hostile.parts import REFUSED

MEMORY = 2 << 30  # what the process may ask for beyond what it has
GROWTH = 256 << 20  # what one file may add to its peak
SECONDS = 5.0  # of the processor, for one file
ALL = 300.0


@pytest.fixture(scope="module")
def rows(tmp_path_factory: Any) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("hostile")
    made = cases(folder)
    (folder / "cases.json").write_text(json.dumps(made))
    run = subprocess.run(
        [sys.executable, "-m", "tests.saving.hostile.opening", str(folder), str(MEMORY)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=ALL,
        check=False,
    )
    found = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    assert run.returncode == 0, (run.returncode, found[-1:], run.stderr[-2000:])
    assert len(found) == len(made) >= 350
    return found


def test_every_file_is_refused_by_its_kind_of_error(rows: list[dict[str, Any]]) -> None:
    bad = [
        row
        for row in rows
        if row["outcome"] not in ("ValueError", "TypeError")
        and (row["wanted"] == REFUSED or row["outcome"] != "loaded")
    ]
    assert not bad


def test_no_file_takes_much_time_or_memory(rows: list[dict[str, Any]]) -> None:
    assert not [row for row in rows if row["seconds"] > SECONDS or row["grown"] > GROWTH]


def test_harmless_changes_load(rows: list[dict[str, Any]]) -> None:
    """The limits refuse hostile files, not files: some of the drawn changes do no harm."""
    assert sum(row["outcome"] == "loaded" for row in rows) >= 20
