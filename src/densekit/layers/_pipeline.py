"""`Pipeline`: layers one after the other, as one layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Config, PartialShape, TensorLike
from densekit.layers._base.layer import Layer


@export("keras.layers")
class Pipeline(Layer):
    """Applies layers one after the other. Unlike a `Sequential` it is no model, only a layer.

    It takes what its first layer takes, lists and tables too, and tells its layers that they train
    unless it is called with ``training=False``.

    Args:
        layers: the layers, in order.
        name: name of the layer. Default: numbered after the class.

    Raises:
        ValueError: by `from_config`, if the config lists no layers.

    Example:

    >>> import densekit as keras
    >>> layers = [keras.layers.Rescaling(0.5), keras.layers.ReLU()]
    >>> keras.layers.Pipeline(layers)(keras.ops.array([[-2.0, 4.0]])).tolist()
    [[0.0, 2.0]]
    """

    def __init__(self, layers: Iterable[Layer], name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self._dk_parts = list(layers)
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True

    @property
    def layers(self) -> list[Layer]:
        """The layers."""
        return self._dk_parts

    def build(self, input_shape: object = None) -> None:
        """Nothing: each layer is built when it is called."""

    def call(
        self, inputs: TensorLike, training: bool | None = True, mask: TensorLike | None = None
    ) -> TensorLike:
        """What the last layer makes of it."""
        for layer in self._dk_parts:
            given = {"training": training, "mask": mask}
            known = layer._dk_call_info.names
            inputs = layer(
                inputs, **{k: v for k, v in given.items() if k in known and v is not None}
            )
        return inputs

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        """That of the last layer."""
        for layer in self._dk_parts:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def compute_output_spec(
        self, inputs: TensorLike, training: bool | None = True, mask: TensorLike | None = None
    ) -> Any:
        """What `call` gives for symbolic inputs."""
        return self.call(inputs, training=training, mask=mask)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {"layers": serialize_keras_object(list(self._dk_parts)), "name": self.name}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Create from `get_config`."""
        layers = config.get("layers")
        if not isinstance(layers, list | tuple):
            raise ValueError(
                message("Pipeline.from_config", "a list `layers`", describe(layers), "Pass one.")
            )
        return cls(**{**config, "layers": [deserialize_keras_object(layer) for layer in layers]})
