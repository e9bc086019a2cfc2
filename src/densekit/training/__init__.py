"""Training a model: compile, sessions, the loop, the metrics of a run."""
