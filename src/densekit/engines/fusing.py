"""Neighbouring ops of a plan that the native core does as one: product, bias, activation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from densekit._core.variable import Variable
from densekit.engines.plan_op import PlanOp

# Formulas that a dense op takes along: those that keep the width.
_NOT_TAKEN = frozenset({"glu", "linear"})


def fused(ops: list[PlanOp], outputs: set[int]) -> list[PlanOp]:
    """The same plan with ``activation(x @ kernel + bias)`` as one op wherever it stands apart.

    Args:
        outputs: values that are read from outside.
    """
    readers: dict[int, int] = dict.fromkeys(outputs, 1)
    for op in ops:
        for value in op.inputs:
            readers[value] = readers.get(value, 0) + 1
    made_at: dict[int, int] = {}  # value: where in `result` it is made
    result: list[PlanOp] = []
    for op in ops:
        at = made_at.get(op.inputs[0]) if len(op.inputs) == 1 else None
        before = None if at is None or readers[op.inputs[0]] != 1 else result[at]
        joined = None if before is None else _joined(before, op)
        if joined is None:
            result.append(op)
            made_at.update(dict.fromkeys(op.outputs, len(result) - 1))
        else:
            assert at is not None
            result[at] = joined
            made_at[joined.outputs[0]] = at
    return result


def _joined(before: PlanOp, op: PlanOp) -> PlanOp | None:
    """One op in place of two, or None."""
    a = before.arguments
    if before.kind != "dense" or a["attributes"]["activation"] != "linear":
        return None
    if before.precision or op.precision:  # each op rounds
        return None
    more: dict[str, Any]
    own = op.arguments.get("attributes", {})
    if op.kind == "activation" and own["activation"] not in _NOT_TAKEN:
        keys = ("activation", "activation_parameters")
        more = {"attributes": {**a["attributes"], **{key: own[key] for key in keys}}}
        if own["activation"] in _ROWS and own["width"] != a["attributes"]["out_features"]:
            return None
    elif op.kind == "elementwise" and len(a["parameters"]) == 1:
        bias = _bias(before, op)
        if bias is None:
            return None
        more = {"parameters": [*a["parameters"], bias]}
    else:
        return None
    return replace(before, outputs=op.outputs, arguments={**a, **more})


_ROWS = frozenset({"softmax", "log_softmax", "sparsemax"})


def _bias(before: PlanOp, op: PlanOp) -> Variable | None:
    """The variable that an addition puts on every row of a product, if that is all it does."""
    a = op.arguments
    if a["attributes"]["formula"] != "add" or len(a["parameters"]) != 1:
        return None
    bias: Variable = a["parameters"][0]
    shape, units = a["attributes"]["shape"], before.arguments["attributes"]["out_features"]
    if bias.shape != (units,) or shape[-1] != units:
        return None
    return bias
