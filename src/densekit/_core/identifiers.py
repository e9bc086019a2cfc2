"""One way to turn what a user passes for a component into the component.

A string, a class, an instance, a config dict, a callable or None: every ``get`` of activations,
initializers, ... goes through here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from densekit._core.absent import hint
from densekit._core.errors import describe, message
from densekit._core.registry import get_registered_object
from densekit._core.serialization import deserialize_keras_object


def resolve(
    identifier: object, *, family: str, names: Mapping[str, object], instantiate: bool = True
) -> Any:
    """Return the component that `identifier` stands for.

    Args:
        identifier: a name in `names` (or a registered custom one), a config dict, a class (which is
            instantiated), or anything callable, returned as it is. None stays None.
        family: word for the error text, e.g. ``"activation function"``.
        names: what the family's strings stand for.
        instantiate: whether classes are called without arguments.

    Raises:
        ValueError: if nothing can be made of it.
    """
    if identifier is None:
        return None
    found = identifier
    if isinstance(identifier, dict):
        found = deserialize_keras_object(identifier, module_objects=names)
    elif isinstance(identifier, str):
        found = get_registered_object(identifier, module_objects=names)
    if isinstance(found, type) and instantiate:
        found = found()
    if callable(found):
        return found
    raise ValueError(
        message(
            family,
            "a known name, an object, a config or a callable",
            describe(identifier),
            _advice(identifier, names),
        )
    )


def _advice(identifier: object, names: Mapping[str, object]) -> str:
    """The nearest name or, if there is none, all of them."""
    known = sorted(names)
    module = getattr(names, "module", "")
    advice = hint(module, identifier, known) if isinstance(identifier, str) else ""
    return advice or f"Known names: {', '.join(known)}."
