"""`Activation`: an activation function as a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from densekit import activations
from densekit._core.native_form import NativeForm, native_form
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, PartialShape, TensorLike
from densekit.layers._base.activated import activated_shape
from densekit.layers._base.elementwise import Elementwise

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class Activation(Elementwise):
    """Applies an activation function: ``outputs = activation(inputs)``.

    Args:
        activation: name, function or None, which is linear.

    Raises:
        ValueError: for an unknown name.

    Example:

    >>> import densekit as keras
    >>> keras.layers.Activation("relu")(keras.ops.array([[-1.0, 2.0]])).tolist()
    [[0.0, 2.0]]
    """

    def __init__(self, activation: object, **kwargs: Unpack[AllLayerOptions]) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)
        self._build_at_init()

    def call(self, inputs: TensorLike) -> TensorLike:
        """``activation(inputs)``."""
        return self.activation(inputs)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> PartialShape:
        """The shape of the input, or what the activation makes of it."""
        return activated_shape(self.activation, tuple(input_shape))

    def native_form(self) -> NativeForm | None:
        """The native kernel of the function, also where the layer is another layer's activation."""
        return native_form(self.activation)

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """One elementwise step."""
        return plan.activation(x, self.activation)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "activation": activations.serialize(self.activation)}
