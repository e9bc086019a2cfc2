"""Tests of densekit.activations."""
