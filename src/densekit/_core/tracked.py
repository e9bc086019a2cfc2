"""What a layer keeps a list of, told apart by kinds that the low rooms know."""

from __future__ import annotations


class TrackedLayer:
    """A layer: base of `layers.Layer` alone."""


class TrackedMetric:
    """A metric: base of `metrics.Metric` alone."""
