"""From names, configs and callables to losses, and back."""

from __future__ import annotations

from collections.abc import Callable

from densekit._core import registry
from densekit._core.identifiers import resolve
from densekit._core.naming import object_name
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Config, TensorLike
from densekit.losses._base import Loss, LossFunctionWrapper

_MODULE = "keras.losses"


def get(identifier: object) -> Callable[..., TensorLike] | None:
    """The loss function or object that a name, object, class, config or callable stands for.

    Args:
        identifier: None (which stays None), the name of a function (``"mse"``) or of a class
            (``"MeanSquaredError"``, instantiated), a callable, a class, or a config.

    Raises:
        ValueError: if nothing can be made of `identifier`.

    Example:

    >>> import densekit as keras
    >>> keras.losses.get("mse").__name__
    'mean_squared_error'
    """
    found: Callable[..., TensorLike] | None = resolve(
        identifier, family="loss", names=registry.Names(_MODULE)
    )
    return found


def as_loss(identifier: object) -> Loss | None:
    """Like `get`, with functions wrapped: what a trainer needs.

    A function that was named by a string keeps that name in the logs, as in Keras.

    Args:
        identifier: see `get`.

    Raises:
        ValueError: if nothing can be made of `identifier`.

    Example:

    >>> from densekit.losses import as_loss
    >>> as_loss("mse").name
    'mse'
    """
    found = get(identifier)
    if found is None or isinstance(found, Loss):
        return found
    name = identifier if isinstance(identifier, str) else object_name(found)
    return LossFunctionWrapper(found, name=name)


def serialize(loss: object) -> object:
    """The config of a loss object or function.

    Args:
        loss: an object with ``get_config``, or a function.

    Raises:
        TypeError: if it is neither.

    Example:

    >>> import densekit as keras
    >>> keras.losses.serialize(keras.losses.LogCosh())["class_name"]
    'LogCosh'
    """
    return serialize_keras_object(loss)


def deserialize(name: str, custom_objects: Config | None = None) -> object:
    """The loss that `serialize` described.

    Args:
        name: a config dict, or a name.
        custom_objects: user's functions and classes by name. Default: none.

    Example:

    >>> import densekit as keras
    >>> type(keras.losses.deserialize({"class_name": "LogCosh", "config": {}})).__name__
    'LogCosh'
    """
    return deserialize_keras_object(
        name, custom_objects=custom_objects, module_objects=registry.Names(_MODULE)
    )
