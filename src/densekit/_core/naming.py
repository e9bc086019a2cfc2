"""Names of layers, models and variables: snake_case, numbered, unique in a thread.

Each thread counts from the start, as in Keras: what a run is called does not follow from its
neighbours.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict


class Counters(threading.local):
    """Counts by name, for each thread its own."""

    def __init__(self) -> None:
        self.of: defaultdict[str, int] = defaultdict(int)


_counters = Counters()


def to_snake_case(name: str) -> str:
    """``MaxNorm`` -> ``max_norm``, ``L1L2`` -> ``l1l2``, as Keras names layers by their class."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def object_name(component: object) -> str:
    """What logs call a metric or a loss: its `name`, or its function's or class' in snake case."""
    name = getattr(component, "name", None)
    if name is None:
        name = to_snake_case(getattr(component, "__name__", None) or type(component).__name__)
    return name


def unique_name(prefix: str) -> str:
    """``dense``, ``dense_1``, ``dense_2``, ... ; counted per prefix until `reset_names`."""
    count = _counters.of[prefix]
    _counters.of[prefix] += 1
    return prefix if count == 0 else f"{prefix}_{count}"


def auto_name(cls: type) -> str:
    """The default name of an instance of `cls`."""
    return unique_name(to_snake_case(cls.__name__))


def reset_names() -> None:
    """Start counting anew in this thread (`utils.clear_session`)."""
    _counters.of.clear()
