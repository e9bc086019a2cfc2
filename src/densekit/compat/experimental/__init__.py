"""`keras.layers.experimental`, where the layers that prepare data were at first."""

from __future__ import annotations

from densekit import layers as preprocessing

__all__ = ["preprocessing"]
