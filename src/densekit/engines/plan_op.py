"""What a plan records: the ops that make its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from densekit._core.plan import Handle as Handle
from densekit._core.plan import NotLowerable as NotLowerable
from densekit._core.plan import Shape as Shape
from densekit._core.variable import Variable


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
    attributes: dict[str, Any],
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
