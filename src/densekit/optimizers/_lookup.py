"""Optimizers from names and configs, and back."""

from __future__ import annotations

from typing import Any

from densekit._core.absent import hint
from densekit._core.errors import describe, message
from densekit._core.registry import Names
from densekit._core.rooms import room_of
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Config
from densekit.optimizers._optimizer import Optimizer


def _spell(name: str) -> str:
    """The name of a class, whatever the case of its letters."""
    room = room_of("keras.optimizers")
    assert room is not None
    return next((known for known in room.names if known.lower() == name.lower()), name)


_NAMES = Names("keras.optimizers", _spell)


def serialize(optimizer: Optimizer) -> Any:
    """The config of an optimizer, for `deserialize`.

    Example:

    >>> import densekit as keras
    >>> keras.optimizers.serialize(keras.optimizers.SGD(0.5))["config"]["learning_rate"]
    0.5
    """
    return serialize_keras_object(optimizer)


def deserialize(config: Config, custom_objects: dict[str, object] | None = None) -> Any:
    """The optimizer of a config; the case of a built-in class name does not matter.

    Args:
        config: what `serialize` returned.
        custom_objects: classes and functions of one's own, by name. Default: none.

    Example:

    >>> import densekit as keras
    >>> keras.optimizers.deserialize({"class_name": "adam", "config": {"beta_1": 0.5}}).beta_1
    0.5
    """
    known = _NAMES.get(str(config.get("class_name")))
    if known is not None:
        config = {**config, "class_name": known.__name__}
    return deserialize_keras_object(config, custom_objects=custom_objects, module_objects=_NAMES)


def get(identifier: object) -> Any:
    """The optimizer that `identifier` stands for.

    Args:
        identifier: a name, in any case, a config, an `Optimizer`, or None, which stays None.

    Raises:
        ValueError: if nothing can be made of it.

    Example:

    >>> import densekit as keras
    >>> type(keras.optimizers.get("ADAM")).__name__
    'Adam'
    """
    if identifier is None:
        return None
    found = identifier
    if isinstance(identifier, dict):
        found = deserialize(identifier)
    elif isinstance(identifier, str) and identifier in _NAMES:
        found = _NAMES[identifier]()
    if isinstance(found, Optimizer):
        return found
    raise ValueError(
        message(
            "optimizers.get",
            "a known name, a config or an Optimizer",
            describe(identifier),
            (hint(_NAMES.module, identifier, _NAMES) if isinstance(identifier, str) else "")
            or f"Known names: {', '.join(sorted(name.lower() for name in _NAMES))}.",
        )
    )
