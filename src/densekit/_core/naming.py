"""Names of layers, models and variables: snake_case, numbered per process, unique."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

_counters: defaultdict[str, int] = defaultdict(int)


def to_snake_case(name: str) -> str:
    """``MaxNorm`` -> ``max_norm``, ``L1L2`` -> ``l1l2``, as Keras names layers by their class."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def object_name(component: Any) -> str:
    """What logs call a metric or a loss: its `name`, or its function's or class' in snake case."""
    name = getattr(component, "name", None)
    if name is None:
        name = to_snake_case(getattr(component, "__name__", None) or type(component).__name__)
    return name


def unique_name(prefix: str) -> str:
    """``dense``, ``dense_1``, ``dense_2``, ... ; counted per prefix until `reset_names`."""
    count = _counters[prefix]
    _counters[prefix] += 1
    return prefix if count == 0 else f"{prefix}_{count}"


def auto_name(cls: type) -> str:
    """The default name of an instance of `cls`."""
    return unique_name(to_snake_case(cls.__name__))


def reset_names() -> None:
    """Start counting anew (`utils.clear_session`)."""
    _counters.clear()
