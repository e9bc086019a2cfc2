"""`Lambda`: a function as a layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, Unpack

from densekit import ops
from densekit._core import tree
from densekit._core.errors import describe, message
from densekit._core.registry import custom_object_scope, export, public_name
from densekit._core.serialization import (
    deserialize_function,
    deserialize_keras_object,
    serialize_keras_object,
)
from densekit._core.types import Config, TensorLike
from densekit.layers._base.layer import Layer
from densekit.layers._base.shapes import is_shape, specs_of
from densekit.ops._growth import check_growth

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class Lambda(Layer):
    """Applies a function: ``outputs = function(inputs)``, written on `keras.ops`.

    A named function is stored in files by name. A lambda's code never is: loading needs
    ``custom_objects={"<lambda>": function}``.

    Args:
        function: takes the inputs and, if it has parameters of these names, `mask` and `training`.
        output_shape: shape of one sample of the output, or a function of the input shape. Default:
            found by trying the function out.
        mask: mask of the output, or a function ``(inputs, mask)``. Default: none.
        arguments: further keyword arguments of `function`. Default: none.

    Example:

    >>> import densekit as keras
    >>> keras.layers.Lambda(lambda x: x**2)(keras.ops.array([[3.0]])).tolist()
    [[9.0]]
    """

    _dk_passes_text = True

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: TensorLike | None = None,
        arguments: Config | None = None,
        **kwargs: Unpack[AllLayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise TypeError(message("Lambda", "a callable", describe(function), "Pass a function."))
        self.function = function
        self.arguments = arguments or {}
        self.supports_masking = mask is not None
        self.mask = mask
        self._output_shape = output_shape
        try:
            self._dk_accepts = frozenset(inspect.signature(function).parameters)
        except ValueError:  # some functions written in C do not tell
            self._dk_accepts = frozenset()

    def call(
        self, inputs: TensorLike, mask: TensorLike | None = None, training: bool | None = None
    ) -> Any:
        """``function(inputs, **arguments)``."""
        context = {"mask": mask, "training": training}
        extra = {name: value for name, value in context.items() if name in self._dk_accepts}
        return self.function(inputs, **{**self.arguments, **extra})

    def compute_output_shape(self, input_shape: Any) -> Any:
        """As given, or found by trying the function out."""
        given = self._output_shape
        if given is None:
            inputs = specs_of(input_shape, self.compute_dtype)
            public = public_name(self.function)
            if public is not None:  # a file may have named it
                check_growth(public[1], inputs, self.arguments)
            spec = ops.compute_output_spec(self.call, inputs)
            return tree.map_structure(lambda x: x.shape, spec)
        if callable(given):
            return given(input_shape)
        batch = tree.flatten(input_shape)[0]
        if is_shape(given):
            return (batch, *given)
        return type(given)((batch, *shape) for shape in given)

    def compute_mask(self, inputs: TensorLike, mask: TensorLike | None = None) -> TensorLike | None:
        """As given."""
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def get_config(self) -> Config:
        """The constructor's arguments; functions by name."""
        config: Config = {"function": serialize_keras_object(self.function)}
        if self._output_shape is not None:
            config["output_shape"] = serialize_keras_object(self._output_shape)
        if self.mask is not None:
            config["mask"] = serialize_keras_object(self.mask)
        config["arguments"] = serialize_keras_object(dict(self.arguments))
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: Config, custom_objects: Config | None = None, **_: Any) -> Self:
        """Create from `get_config`."""
        names = [n for n in ("function", "output_shape", "mask", "arguments") if n in config]
        with custom_object_scope(custom_objects):
            parts = {n: _revive(n, config[n]) for n in names}
        if isinstance(parts.get("output_shape"), list) and is_shape(parts["output_shape"]):
            parts["output_shape"] = tuple(parts["output_shape"])
        return cls(**(config | parts))


def _revive(name: str, config: object) -> Any:
    """An argument of the constructor; in the place of a function stands a function."""
    if name == "arguments" or not (isinstance(config, dict) and "class_name" in config):
        return deserialize_keras_object(config)
    return deserialize_function(config, "keras.activations")
