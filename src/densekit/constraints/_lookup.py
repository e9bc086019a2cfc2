"""From names, configs and callables to constraints, and back."""

from __future__ import annotations

from collections.abc import Callable

from densekit._core import registry
from densekit._core.identifiers import resolve
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Config, TensorLike

_MODULE = "keras.constraints"


def get(identifier: object) -> Callable[..., TensorLike] | None:
    """The constraint that a name, object, class, config or callable stands for; None stays None.

    Args:
        identifier: None, a name, a callable, a class (instantiated), or a config.

    Raises:
        ValueError: if nothing can be made of `identifier`.

    Example:

    >>> import densekit as keras
    >>> keras.constraints.get("NonNeg").get_config()
    {}
    """
    found: Callable[..., TensorLike] | None = resolve(
        identifier, family="constraint", names=registry.Names(_MODULE)
    )
    return found


def serialize(constraint: object) -> object:
    """The config of a constraint.

    Args:
        constraint: an object with ``get_config``, or a function.

    Raises:
        TypeError: if it is neither.

    Example:

    >>> import densekit as keras
    >>> keras.constraints.serialize(keras.constraints.NonNeg())["class_name"]
    'NonNeg'
    """
    return serialize_keras_object(constraint)


def deserialize(config: object, custom_objects: Config | None = None) -> object:
    """The constraint that `serialize` described.

    Args:
        config: a config dict.
        custom_objects: user's functions and classes by name. Default: none.

    Example:

    >>> import densekit as keras
    >>> type(keras.constraints.deserialize({"class_name": "NonNeg", "config": {}})).__name__
    'NonNeg'
    """
    return deserialize_keras_object(
        config, custom_objects=custom_objects, module_objects=registry.Names(_MODULE)
    )
