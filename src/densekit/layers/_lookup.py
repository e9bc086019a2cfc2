"""Layers to configs and back."""

from __future__ import annotations

from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Config
from densekit.layers._base.layer import Layer


@export("keras.layers")
def serialize(layer: Layer) -> Config:
    """The config of a layer, for `deserialize`.

    Example:

    >>> import densekit as keras
    >>> config = keras.layers.serialize(keras.layers.Dense(2))
    >>> keras.layers.deserialize(config).units
    2
    """
    config: Config = serialize_keras_object(layer)
    return config


@export("keras.layers")
def deserialize(config: Config, custom_objects: Config | None = None) -> Layer:
    """The layer that `config` describes, not built.

    Args:
        config: what `serialize` returned.
        custom_objects: classes and functions of one's own, by name. Default: none.

    Raises:
        ValueError: if `config` describes something else.

    Example:

    >>> import densekit as keras
    >>> config = keras.layers.serialize(keras.layers.Dense(2, activation="relu"))
    >>> keras.layers.deserialize(config).activation.__name__
    'relu'
    """
    layer = deserialize_keras_object(config, custom_objects=custom_objects)
    if not isinstance(layer, Layer):
        raise ValueError(
            message("layers.deserialize", "the config of a layer", describe(layer), "Check it.")
        )
    return layer
