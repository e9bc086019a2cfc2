"""Tests of densekit.losses."""
