"""From names, configs, arrays and callables to initializers, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from densekit._core import registry
from densekit._core.dtypes import to_numpy_dtype
from densekit._core.errors import message
from densekit._core.identifiers import resolve
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Config, DTypeLike, TensorLike
from densekit._core.variable import Variable

_MODULE = "keras.initializers"


def get(identifier: object) -> Callable[..., TensorLike] | None:
    """The initializer that a name, object, class, config, array or callable stands for.

    Args:
        identifier: None (which stays None), a name, a callable ``(shape, dtype=None)``, a class
            (instantiated), a config, or an array, whose values are then taken.

    Raises:
        ValueError: if nothing can be made of `identifier`; when called, if the shape is not the
            array's.

    Example:

    >>> import densekit as keras
    >>> type(keras.initializers.get("he_normal")).__name__
    'HeNormal'
    """
    if isinstance(identifier, np.ndarray | np.generic | Variable) or _is_array(identifier):
        return _from_array(np.array(identifier))
    found: Callable[..., TensorLike] | None = resolve(
        identifier, family="initializer", names=registry.Names(_MODULE)
    )
    return found


def _is_array(value: object) -> bool:
    return hasattr(value, "__array__") and hasattr(value, "shape") and not callable(value)


def _from_array(array: TensorLike) -> Callable[..., TensorLike]:
    def initialize(shape: Sequence[int], dtype: DTypeLike = None) -> TensorLike:
        if tuple(shape) != array.shape:
            raise ValueError(
                message(
                    "initializer",
                    f"the shape {array.shape} of the array it was made from",
                    f"{tuple(shape)}",
                    "Pass an array of the weight's shape.",
                )
            )
        return array.astype(to_numpy_dtype(dtype))

    return initialize


def serialize(initializer: object) -> object:
    """The config of an initializer.

    Args:
        initializer: an object with ``get_config``, or a function.

    Raises:
        TypeError: if it is neither.

    Example:

    >>> import densekit as keras
    >>> keras.initializers.serialize(keras.initializers.Zeros())["class_name"]
    'Zeros'
    """
    return serialize_keras_object(initializer)


def deserialize(config: object, custom_objects: Config | None = None) -> object:
    """The initializer that `serialize` described.

    Args:
        config: a config dict.
        custom_objects: user's functions and classes by name. Default: none.

    Example:

    >>> import densekit as keras
    >>> type(keras.initializers.deserialize({"class_name": "Zeros", "config": {}})).__name__
    'Zeros'
    """
    return deserialize_keras_object(
        config, custom_objects=custom_objects, module_objects=registry.Names(_MODULE)
    )
