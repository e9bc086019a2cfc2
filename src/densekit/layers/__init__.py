"""Layers: state and a formula."""

from __future__ import annotations

from densekit.layers._dense import Dense as Dense
from densekit.layers._input_spec import InputSpec as InputSpec
from densekit.layers._layer import Layer as Layer
from densekit.layers._lowering import has_lowering as has_lowering
from densekit.layers._tracking import no_tracking as no_tracking
from densekit.layers._tracking import structure_version as structure_version
