"""What a layer must be like for its native form to stand in a plan."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature

from densekit._core import tree
from densekit.engines.plan import PlanBuilder
from densekit.layers import Layer, has_lowering
from densekit.ops import KerasTensor
from densekit.ops._symbolic import Node

_HALVES = frozenset({"bfloat16", "float16"})


def fits_plan(layer: Layer, plan: PlanBuilder) -> bool:
    """Whether a layer has a native form, and one in the plan's dtype."""
    if not has_lowering(layer):
        return False
    if mixed_precision(layer):
        return plan.dtype == "float32"
    return layer.compute_dtype == layer.variable_dtype == plan.dtype


def writes_while_predicting(layer: Layer, plan: PlanBuilder) -> bool:
    """Whether a layer is to train in a plan that does not: its state is written on the host."""
    if not plan.training or plan.learns:
        return False
    owners = layer._dk_flatten_layers()
    drawn = {id(g.state) for one in owners for g in one._tracker.seed_generators}
    return any(id(v) not in drawn for v in layer.non_trainable_variables)


def mixed_precision(layer: Layer) -> str:
    """The 16-bit type that a layer with float32 variables computes in, or ``""``."""
    mixed = layer.variable_dtype == "float32" and layer.compute_dtype in _HALVES
    return layer.compute_dtype if mixed else ""


def halves_in(plan: PlanBuilder) -> frozenset[str]:
    """The 16-bit types that are rounded to in the plan's buffers."""
    return _HALVES if plan.dtype == "float32" else frozenset()


def options_of(node: Node) -> dict[str, object] | None:
    """What was passed beside symbolic tensors, if the layer's `lower` takes it; else None."""
    given = {key: value for key, value in node.kwargs.items() if key not in ("training", "mask")}
    lower: Callable[..., object] = type(node.operation).lower  # type: ignore[attr-defined]
    known = signature(lower).parameters
    options = {
        key: given.pop(key)
        for key, value in list(given.items())
        if key in known and not any(isinstance(x, KerasTensor) for x in tree.flatten(value))
    }
    leaves = tree.flatten((node.args, given))
    plain = all(isinstance(x, KerasTensor) for x in leaves)
    mask = node.kwargs.get("mask")
    return options if plain and (mask is None or isinstance(mask, KerasTensor)) else None
