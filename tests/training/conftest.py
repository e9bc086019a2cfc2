"""Fixtures of the tests of training."""

from __future__ import annotations

import pytest

from densekit.training import _step_follower


@pytest.fixture
def followed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are followed after the first two, and the two that are made both ways."""
    monkeypatch.setattr(_step_follower, "FIRST_STEPS", 2)
    monkeypatch.setattr(_step_follower, "TRIED_STEPS", 2)
    monkeypatch.setattr(_step_follower, "TRIED_ROWS", 2)
