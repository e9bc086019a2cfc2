"""Limits of epochs and steps for the whole process: `config.set_max_epochs` and its like."""

from __future__ import annotations

from densekit._core import settings
from densekit._core.frames import warn


def limited_epochs(epochs: int) -> int:
    """`epochs`, or the limit with a warning."""
    limit: int | None = settings.get("max_epochs")
    if not limit or limit >= epochs:
        return epochs
    warn(f"Limiting epochs to {limit}", UserWarning)
    return limit


def limited_steps(steps: int | None) -> int | None:
    """`steps`, or the limit with a warning."""
    limit: int | None = settings.get("max_steps_per_epoch")
    if not limit or (steps and limit >= steps):
        return steps
    warn(f"Limiting steps_per_epoch to {limit}", UserWarning)
    return limit
