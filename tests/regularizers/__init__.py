"""Tests of densekit.regularizers."""
