"""Which parts of a model run natively, and why the others do not."""

from __future__ import annotations

from densekit import engines
from densekit.models._followed import FollowedLayer
from densekit.training._own_steps import why_in_python


def plan_parts(model: FollowedLayer, training: bool = False) -> list[tuple[str, str, str]] | None:
    """Name, class and reason of each part of the plan, "" for native; None if there is none yet.

    A model whose call cannot be followed is one part.
    """
    graph = model._dk_graph() if model.built else None
    if graph is None:
        if not model.built:
            return None
        why = model.__dict__.get("_dk_unfollowed", "")
        said = f"its `call` cannot be followed{why and ': '}{why}"
        return [(model.name, type(model).__name__, said)]
    if training and graph.in_training is not None:
        graph = graph.in_training
    dtypes = {v.dtype for v in model.weights}
    if any(None in tensor.shape[1:] for tensor in graph.inputs):
        return None
    shapes = [tuple(size or 0 for size in tensor.shape[1:]) for tensor in graph.inputs]
    try:
        dtype = "float64" if "float64" in dtypes else "float32"
        plan = engines.lower_graph(graph, dtype, training, shapes)
    except engines.NotLowerable as why:
        return [(model.name, type(model).__name__, str(why))]
    return plan.parts


def explain_plan(model: FollowedLayer, training: bool) -> str:
    """One line for each part, the time-consuming ones with their reasons."""
    where = f"{type(model).__name__} {model.name!r}"
    parts = plan_parts(model, training)
    if parts is None and not model._dk_has_call:  # its steps call its parts
        inner = [layer for layer in model._dk_layers if isinstance(layer, FollowedLayer)]
        known = [plan_parts(layer, training) for layer in inner]
        parts = [part for found in known for part in found or ()] or None
    if parts is None:
        return f"{where}: no plan before it is built for inputs of fixed size."
    in_python = sum(1 for *_, reason in parts if reason)
    phase = "training" if training else "inference"
    lines = [f"{where}, {phase}: {in_python} of {len(parts)} parts in Python"]
    reasons = [(name, reason) for name, _, reason in parts]
    own_step = why_in_python(model) if training else None
    if own_step is not None:
        reasons.append(("train_step", own_step))
    width = max((len(name) for name, _ in reasons), default=0)
    lines += [
        f"  {name:<{width}}  {'native' if not reason else f'Python: {reason}'}"
        for name, reason in reasons
    ]
    return "\n".join(lines)
