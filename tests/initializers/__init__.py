"""Tests of densekit.initializers."""
