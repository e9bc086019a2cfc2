"""Neighbouring steps of a plan that the native core does as one: product, bias, activation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from densekit._core.variable import Variable
from densekit.engines.steps import Step

# Formulas that a dense step takes along: those that keep the width.
_NOT_TAKEN = frozenset({"glu", "linear"})


def fused(steps: list[Step], outputs: set[int]) -> list[Step]:
    """The same plan with ``activation(x @ kernel + bias)`` as one step wherever it stands apart.

    Args:
        outputs: values that are read from outside.
    """
    readers: dict[int, int] = dict.fromkeys(outputs, 1)
    for step in steps:
        for value in step.inputs:
            readers[value] = readers.get(value, 0) + 1
    made_at: dict[int, int] = {}  # value: where in `result` it is made
    result: list[Step] = []
    for step in steps:
        at = made_at.get(step.inputs[0]) if len(step.inputs) == 1 else None
        before = None if at is None or readers[step.inputs[0]] != 1 else result[at]
        joined = None if before is None else _joined(before, step)
        if joined is None:
            result.append(step)
            made_at.update(dict.fromkeys(step.outputs, len(result) - 1))
        else:
            assert at is not None
            result[at] = joined
            made_at[joined.outputs[0]] = at
    return result


def _joined(before: Step, step: Step) -> Step | None:
    """One step in place of two, or None."""
    if before.kind != "dense" or before.arguments["activation"] != "linear":
        return None
    if before.precision or step.precision:  # each step rounds
        return None
    if step.kind == "activation" and step.arguments["activation"] not in _NOT_TAKEN:
        keys = ("activation", "parameters")
        more: dict[str, Any] = {key: step.arguments[key] for key in keys}
        units = before.arguments["out_features"]
        if step.arguments["activation"] in _ROWS and step.arguments["width"] != units:
            return None
    elif step.kind == "op" and before.arguments["bias"] is None:
        bias = _bias(before, step)
        if bias is None:
            return None
        more = {"bias": bias}
    else:
        return None
    return replace(before, outputs=step.outputs, arguments={**before.arguments, **more})


_ROWS = frozenset({"softmax", "log_softmax", "sparsemax"})


def _bias(before: Step, step: Step) -> Variable | None:
    """The variable that an addition puts on every row of a product, if that is all it does."""
    a = step.arguments
    if a["op"] != "elementwise" or a["attributes"]["formula"] != "add" or len(a["parameters"]) != 1:
        return None
    bias: Variable = a["parameters"][0]
    shape = a["attributes"]["shape"]
    if bias.shape != (before.arguments["out_features"],) or shape[-1] != bias.shape[0]:
        return None
    return bias
