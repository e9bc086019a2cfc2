"""What a plan records: the ops that make its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from densekit._core.plan import Attribute as Attribute
from densekit._core.plan import Handle as Handle
from densekit._core.plan import NotLowerable as NotLowerable
from densekit._core.plan import Shape as Shape
from densekit._core.variable import Variable


class ByDefinition(NotLowerable):
    """This call has no native form of its own: what its definition consists of is native."""


DRAWING = frozenset({"dropout", "noise"})  # ops with a generator each
_FLOATS = frozenset({"constants", "activation_parameters", "scale", "offset"})  # even if empty


@dataclass(frozen=True, slots=True)
class PlanOp:
    """One op: its name in ``native/ops/table.inl`` or "host", the values it reads and makes.

    The arguments of native ones are `parameters`, `state` and `attributes` (`native_op`), of "host"
    those of a `HostNode`.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    precision: str = ""  # what it rounds to: "bfloat16", "float16", or ""


def native_op(
    kind: str,
    inputs: Sequence[Handle],
    outputs: Sequence[Handle],
    attributes: Mapping[str, Attribute],
    parameters: Sequence[Variable] = (),
    state: Sequence[Variable] = (),
    precision: str = "",
) -> PlanOp:
    """An op of the native core: variables it reads and writes, attributes by name."""
    arguments = {
        "parameters": list(parameters),
        "state": list(state),
        "attributes": attributes,
    }
    return PlanOp(
        kind,
        tuple(x.value for x in inputs),
        tuple(y.value for y in outputs),
        arguments,
        precision,
    )


def by_type(
    attributes: Mapping[str, Attribute],
) -> tuple[dict[str, str], dict[str, list[int]], dict[str, list[float]], dict[str, bytes]]:
    """Attributes as the core takes them: strings, whole numbers, floats and bytes apart."""
    names: dict[str, str] = {}
    integers: dict[str, list[int]] = {}
    floats: dict[str, list[float]] = {}
    raw: dict[str, bytes] = {}
    for key, value in attributes.items():
        if isinstance(value, np.ndarray):
            raw[key] = value.tobytes()
        elif isinstance(value, str):
            names[key] = value
        else:
            items = value if isinstance(value, Sequence) else [value]
            if key in _FLOATS or any(isinstance(item, float) for item in items):
                floats[key] = [float(item) for item in items]
            else:
                integers[key] = [int(item) for item in items]
    return names, integers, floats, raw


def exact_below(dtype: str) -> int:
    """Floats of this type hold all whole numbers nearer to 0 than this."""
    return 1 << (24 if dtype == "float32" else 53)
