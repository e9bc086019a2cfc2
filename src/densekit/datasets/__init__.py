"""Data that comes with the package: nothing is downloaded."""

from __future__ import annotations

from densekit.datasets import digits as digits
