"""What a plan records: the steps that make its values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from densekit._core.plan import Handle as Handle
from densekit._core.plan import NotLowerable as NotLowerable
from densekit._core.plan import Shape as Shape


@dataclass(frozen=True, slots=True)
class Step:
    """One recorded call: what it is, the values it reads and makes, its arguments by name."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    precision: str = ""  # what it rounds to: "bfloat16", "float16", or ""
