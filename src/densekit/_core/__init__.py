"""The floor every room stands on: errors, names, settings, data types, variables, seeds, the registry."""
