"""`Wrapper`: a layer around a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, Unpack

from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Config, PartialShape
from densekit.layers._base.layer import Layer

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class Wrapper(Layer):
    """Base of layers that hold another layer as `layer`; write `call` in a subclass.

    Args:
        layer: the layer inside.

    Raises:
        ValueError: if it is no layer.

    Example:

    >>> import densekit as keras
    >>> class Twice(keras.layers.Wrapper):
    ...     def call(self, inputs):
    ...         return self.layer(self.layer(inputs))
    >>> Twice(keras.layers.Dense(3))(keras.ops.ones((1, 3))).shape
    (1, 3)
    """

    def __init__(self, layer: Layer, **kwargs: Unpack[AllLayerOptions]) -> None:
        if not isinstance(layer, Layer):
            raise ValueError(message("Wrapper", "a layer", describe(layer), "Pass e.g. Dense(1)."))
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: PartialShape | None = None) -> None:
        """Build the layer inside."""
        if not self.layer.built:
            self.layer.build(input_shape)

    def get_config(self) -> Config:
        """The layer inside and the constructor's other arguments."""
        return {**super().get_config(), "layer": serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config: Config, custom_objects: Config | None = None) -> Self:
        """Create from `get_config`."""
        rest = {key: value for key, value in config.items() if key != "layer"}
        return cls(deserialize_keras_object(config["layer"], custom_objects=custom_objects), **rest)
