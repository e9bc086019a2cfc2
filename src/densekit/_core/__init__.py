"""The floor of every room: errors, names, settings, dtypes, variables, seeds, the registry."""
