"""The JAX engine: whole models traced by their definitions, compiled by XLA.

This room and `distribution` alone import JAX.
"""

from __future__ import annotations

from densekit.engines.jax.kind import ENGINE as ENGINE
