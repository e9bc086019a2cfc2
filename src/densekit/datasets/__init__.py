"""Data that comes with the package: nothing is downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import answers_for_absent as _answers_for_absent
from densekit.datasets import digits as digits

if not TYPE_CHECKING:
    __getattr__ = _answers_for_absent(__name__)
