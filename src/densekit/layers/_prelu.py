"""`PReLU`: a rectifier whose slope is learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from densekit import activations, constraints, initializers, regularizers
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, PartialShape, TensorLike
from densekit.layers._base.elementwise import Elementwise
from densekit.layers._base.input_spec import InputSpec

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class PReLU(Elementwise):
    """Parametric rectifier: ``x if x >= 0 else alpha * x``, with one learnt `alpha` per input unit.

    Shapes:
        inputs and outputs: ``(batch, ...)``; alpha: ``(...)`` with 1 on each shared axis.

    Args:
        alpha_initializer: distribution of the initial slopes. Default: ``"zeros"``.
        alpha_regularizer: penalty on the slopes. Default: none.
        alpha_constraint: function of the slopes, applied after each update. Default: none.
        shared_axes: axes along which a slope is shared; the batch axis is 0. Default: none.

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25))
    >>> layer(keras.ops.array([[-4.0, 2.0]])).tolist()
    [[-1.0, 2.0]]

    Reference: He, Zhang, Ren and Sun, "Delving deep into rectifiers" (ICCV 2015), equation 1.
    """

    def __init__(
        self,
        alpha_initializer: object = "Zeros",
        alpha_regularizer: object = None,
        alpha_constraint: object = None,
        shared_axes: Any = None,
        **kwargs: Unpack[AllLayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        one = shared_axes is not None and not isinstance(shared_axes, list | tuple)
        self.shared_axes = [shared_axes] if one else shared_axes and list(shared_axes)

    def build(self, input_shape: PartialShape) -> None:
        """Create the slopes for inputs of `input_shape`, batch axis included."""
        shape = list(input_shape[1:])
        shared = self.shared_axes or []
        for axis in shared:
            shape[axis - 1] = 1
        self.alpha = self.add_weight(
            shape=shape,
            name="alpha",
            initializer=self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )
        own = {i: n for i, n in enumerate(input_shape) if shared and i > 0 and i not in shared}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=own)

    def call(self, inputs: TensorLike) -> TensorLike:
        """The rectified inputs."""
        return activations.relu(inputs) - self.alpha * activations.relu(-inputs)

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """One elementwise step with a parameter."""
        return plan.elementwise("prelu", x, self.alpha)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "alpha_initializer": initializers.serialize(self.alpha_initializer),
            "alpha_regularizer": regularizers.serialize(self.alpha_regularizer),
            "alpha_constraint": constraints.serialize(self.alpha_constraint),
            "shared_axes": self.shared_axes,
        }
