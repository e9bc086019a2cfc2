"""Fixtures of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from densekit import _native


@pytest.fixture(autouse=True)
def _restore_threads() -> Iterator[None]:
    threads = _native.get_threads()
    yield
    _native.set_threads(threads)
