"""Which layers have a native form that still says what their `call` says."""

from __future__ import annotations

from typing import Any

# Methods that a subclass may write anew without changing what the layer computes.
_HARMLESS = frozenset(
    {"build", "build_from_config", "from_config", "get_build_config", "get_config"}
    | {"compute_mask", "compute_output_shape", "compute_output_spec"}
    | {"load_own_variables", "save_own_variables", "enable_lora"}
)


def has_lowering(layer: Any) -> bool:
    """Whether `layer.lower` may stand for `layer.call`.

    It may not if a subclass of the class that defines `lower` changed any part of the formula:
    `call`, or a property or method that `call` uses. Such a layer runs as a host node.
    """
    if layer._dk_form is not None and layer._dk_form.replaces_call:
        return True
    if "call" in vars(layer):
        return False
    changed: set[str] = set()
    for base in type(layer).__mro__:
        names = vars(base)
        if "lower" in names:
            return not any(hasattr(base, name) for name in changed)
        changed |= {n for n in names if n not in _HARMLESS and (n == "__call__" or n[:2] != "__")}
    return False
