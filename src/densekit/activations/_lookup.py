"""From names, configs and callables to activation functions, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from densekit._core import registry
from densekit._core.identifiers import resolve
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Config, TensorLike
from densekit.activations._rectifiers import linear

_MODULE = "keras.activations"


def get(identifier: object) -> Callable[..., TensorLike]:
    """The activation function that a name, function, object, class, config or None stands for.

    Args:
        identifier: None (which is `linear`), a name, a callable, a class (instantiated), or a
            config.

    Raises:
        ValueError: if nothing can be made of `identifier`.

    Example:

    >>> import densekit as keras
    >>> keras.activations.get("swish").__name__
    'silu'
    """
    if identifier is None:
        return linear
    found: Callable[..., TensorLike] = resolve(
        identifier, family="activation function", names=registry.Names(_MODULE)
    )
    return found


def serialize(activation: Callable[..., TensorLike]) -> Any:
    """The name of a built-in activation, else its config.

    Args:
        activation: a function, or an object with ``get_config``.

    Raises:
        TypeError: if it is neither.

    Example:

    >>> import densekit as keras
    >>> keras.activations.serialize(keras.activations.relu)
    'relu'
    """
    public = registry.public_name(activation)
    if public is not None and public[0] == _MODULE:
        return public[1]
    return serialize_keras_object(activation)


def deserialize(config: object, custom_objects: Config | None = None) -> object:
    """The activation that `serialize` described.

    Args:
        config: a name or a config dict.
        custom_objects: user's functions and classes by name. Default: none.

    Example:

    >>> import densekit as keras
    >>> keras.activations.deserialize("relu").__name__
    'relu'
    """
    return deserialize_keras_object(
        config, custom_objects=custom_objects, module_objects=registry.Names(_MODULE)
    )
