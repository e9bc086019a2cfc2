"""From names, configs and callables to regularizers, and back."""

from __future__ import annotations

from collections.abc import Callable

from densekit._core import registry
from densekit._core.identifiers import resolve
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Config, TensorLike

_MODULE = "keras.regularizers"


def get(identifier: object) -> Callable[..., TensorLike] | None:
    """The regularizer that a name, object, class, config or callable stands for; None stays None.

    Args:
        identifier: None, a name, a callable, a class (instantiated), or a config.

    Raises:
        ValueError: if nothing can be made of `identifier`.

    Example:

    >>> import densekit as keras
    >>> keras.regularizers.get("L2").get_config()
    {'l2': 0.01}
    """
    found: Callable[..., TensorLike] | None = resolve(
        identifier, family="regularizer", names=registry.Names(_MODULE)
    )
    return found


def serialize(regularizer: object) -> object:
    """The config of a regularizer.

    Args:
        regularizer: an object with ``get_config``, or a function.

    Raises:
        TypeError: if it is neither.

    Example:

    >>> import densekit as keras
    >>> keras.regularizers.serialize(keras.regularizers.L2())["class_name"]
    'L2'
    """
    return serialize_keras_object(regularizer)


def deserialize(config: object, custom_objects: Config | None = None) -> object:
    """The regularizer that `serialize` described.

    Args:
        config: a config dict.
        custom_objects: user's functions and classes by name. Default: none.

    Example:

    >>> import densekit as keras
    >>> type(keras.regularizers.deserialize({"class_name": "L2", "config": {}})).__name__
    'L2'
    """
    return deserialize_keras_object(
        config, custom_objects=custom_objects, module_objects=registry.Names(_MODULE)
    )
