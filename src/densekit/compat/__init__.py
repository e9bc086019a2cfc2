"""Scripts written for Keras or `tf.keras`, run unchanged: `install` and ``python -m densekit``."""

from __future__ import annotations

from densekit.compat._importing import install as install

__all__ = ["install"]
