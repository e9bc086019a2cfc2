"""Checks that every built-in component passes, driven by the registry and one table of samples."""
