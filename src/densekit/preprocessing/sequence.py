"""Sequences of unequal length: `utils.pad_sequences` under its older name."""

from __future__ import annotations

from densekit.utils import pad_sequences as pad_sequences

__all__ = ["pad_sequences"]
