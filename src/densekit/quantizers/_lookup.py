"""From names, configs and classes to quantizers, and back."""

from __future__ import annotations

import inspect
from typing import Any

from densekit._core import registry
from densekit._core.errors import describe, message
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Config

_MODULE = "keras.quantizers"


def get(identifier: object, **kwargs: Any) -> Any:
    """The quantizer that a name, object, class or config stands for; None stays None.

    Args:
        identifier: None, a name, a quantizer, a class (instantiated), or a config.
        **kwargs: arguments of a class.

    Raises:
        ValueError: if nothing can be made of `identifier`.

    Example:

    >>> import densekit as keras
    >>> keras.quantizers.get("abs_max_quantizer", axis=0).axis
    (0,)
    """
    found: Any = identifier
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        found = deserialize(identifier)
    elif isinstance(identifier, str):
        found = registry.Names(_MODULE).get(identifier)
    if not callable(found):
        raise ValueError(
            message("quantizers.get", "a quantizer", describe(identifier), "Pass one, or its name.")
        )
    return found(**kwargs) if inspect.isclass(found) else found


def serialize(initializer: object) -> object:
    """The config of a quantizer, for `deserialize`.

    Args:
        initializer: the quantizer, by the name that the argument has in Keras.

    Example:

    >>> import densekit as keras
    >>> keras.quantizers.serialize(keras.quantizers.AbsMaxQuantizer())["class_name"]
    'AbsMaxQuantizer'
    """
    return serialize_keras_object(initializer)


def deserialize(config: object, custom_objects: Config | None = None) -> object:
    """The quantizer that `serialize` described.

    Args:
        config: a config dict.
        custom_objects: user's classes by name. Default: none.

    Example:

    >>> import densekit as keras
    >>> config = keras.quantizers.serialize(keras.quantizers.AbsMaxQuantizer(axis=1))
    >>> keras.quantizers.deserialize(config).axis
    (1,)
    """
    return deserialize_keras_object(
        config, custom_objects=custom_objects, module_objects=registry.Names(_MODULE)
    )
