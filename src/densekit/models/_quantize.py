"""`Model.quantize`: every layer that can keep its weight in fewer bits does so."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from densekit._core.errors import describe, message
from densekit._core.frames import warn
from densekit.layers import Layer
from densekit.quantizers._configs import resolve_config

# Names of layers, as regular expressions, or a function that chooses them; None: all.
Filters: TypeAlias = str | Sequence[str] | Callable[[Layer], bool] | None


def quantize_model(
    model: Layer, mode: object, config: object, filters: Filters, type_check: bool
) -> None:
    """Quantize the layers of `model` that have no layers inside and that `filters` choose."""
    where = f"{type(model).__name__}.quantize"
    if filters is not None and not (callable(filters) or isinstance(filters, str | list | tuple)):
        raise ValueError(
            message(
                where,
                "The `filters` argument to be a regex string, a list of regex strings, or a "
                "callable",
                describe(filters),
                "Pass e.g. 'hidden_.*'.",
            )
        )
    resolved = resolve_config(mode, config)
    without: list[str] = []
    for layer in model._dk_flatten_layers():
        inner = layer is model or len(layer._dk_flatten_layers()) != 1
        if inner or not _chosen(layer, filters):
            continue
        try:
            layer.quantize(resolved.mode, config=resolved, type_check=type_check)
        except NotImplementedError:
            if any(v.ndim > 1 for v in layer.weights):
                without.append(f"{layer.name} ({type(layer).__name__})")
    if without:
        warn(f"{where}: layers that stay as they are, as none says how: {', '.join(without)}.")


def _chosen(layer: Layer, filters: Filters) -> bool:
    if filters is None:
        return True
    if callable(filters):
        return bool(filters(layer))
    patterns = [filters] if isinstance(filters, str) else filters
    return any(re.search(pattern, layer.name) for pattern in patterns)
