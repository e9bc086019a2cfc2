"""Tests of densekit.constraints."""
