"""`LayerNormalization`: each sample to mean 0 and variance 1."""

from __future__ import annotations

from typing import Any

from densekit import constraints, initializers, ops, regularizers
from densekit._core.errors import message
from densekit._core.frames import warn
from densekit._core.plan import Handle, NotLowerable, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, PartialShape, TensorLike
from densekit.layers._base.normalizing import AlongAxes


@export("keras.layers")
class LayerNormalization(AlongAxes):
    """Normalizes each sample: ``gamma * (x - mean(x)) / sqrt(var(x) + epsilon) + beta``.

    Mean and variance (divided by n) run over `axis` of each sample alone, in float32 at least.

    Shapes:
        gamma, beta: the sizes of `axis`; outputs: as the inputs.

    Args:
        axis: the axis or axes to normalize over. Default: ``-1``.
        epsilon: keeps the root away from 0. Default: ``0.001``.
        center: whether `beta` is added. Default: ``True``.
        scale: whether `gamma` is multiplied. Default: ``True``.
        beta_initializer: distribution of the initial `beta`. Default: ``"zeros"``.
        gamma_initializer: distribution of the initial `gamma`. Default: ``"ones"``.
        beta_regularizer: penalty on `beta`. Default: none.
        gamma_regularizer: penalty on `gamma`. Default: none.
        beta_constraint: function of `beta`, applied after each update. Default: none.
        gamma_constraint: function of `gamma`, applied after each update. Default: none.

    ``rms_scaling=True`` neither subtracts the mean nor adds `beta`; Keras keeps it for old models.

    Raises:
        TypeError: if `axis` is neither an integer nor a list.

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.LayerNormalization(epsilon=0.0)
    >>> layer(keras.ops.array([[1.0, 3.0]])).tolist()
    [[-1.0, 1.0]]

    Reference: Ba, Kiros and Hinton, "Layer normalization" (2016), equation 3.
    """

    def __init__(
        self,
        axis: object = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: object = "zeros",
        gamma_initializer: object = "ones",
        beta_regularizer: object = None,
        gamma_regularizer: object = None,
        beta_constraint: object = None,
        gamma_constraint: object = None,
        **kwargs: Any,
    ) -> None:
        rms_scaling = bool(kwargs.pop("rms_scaling", False))
        if rms_scaling:
            warn(
                message(
                    "LayerNormalization",
                    "`rms_scaling=False`",
                    "True, which divides by the standard deviation and is kept for old models",
                    "Use `keras.layers.RMSNormalization`.",
                )
            )
        super().__init__(**kwargs)
        self.rms_scaling = rms_scaling
        self._dk_set_axis(axis)
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.autocast = False

    def build(self, input_shape: PartialShape) -> None:
        """Create `gamma` and `beta` for inputs of `input_shape`, batch axis included."""
        shape = self._dk_fix_axes(input_shape)
        self.gamma = self.beta = None
        if self.scale or self.rms_scaling:
            self.gamma = self.add_weight(
                name="gamma",
                shape=shape,
                initializer=self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                autocast=False,
            )
        if self.center and not self.rms_scaling:
            self.beta = self.add_weight(
                name="beta",
                shape=shape,
                initializer=self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                autocast=False,
            )

    def call(self, inputs: TensorLike) -> TensorLike:
        """The normalized inputs."""
        wide = "float64" if str(inputs.dtype) == "float64" else "float32"
        x = ops.cast(inputs, wide)
        mean = ops.mean(x, axis=self._dk_axes, keepdims=True)
        variance = ops.mean(ops.square(x - mean), axis=self._dk_axes, keepdims=True)
        centered = x if self.rms_scaling else x - mean
        x = centered / ops.sqrt(variance + self.epsilon)
        if self.gamma is not None:
            x = x * self._dk_spread(self.gamma, inputs)
        if self.beta is not None:
            x = x + self._dk_spread(self.beta, inputs)
        return ops.cast(x, self.compute_dtype)

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """One step over the rows."""
        if self.rms_scaling:
            raise NotLowerable("the core subtracts the mean, which `rms_scaling` does not")
        return plan.normalization("layer", x, self._dk_axes, self.epsilon, self.gamma, self.beta)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "rms_scaling": self.rms_scaling,
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
            "beta_regularizer": regularizers.serialize(self.beta_regularizer),
            "gamma_regularizer": regularizers.serialize(self.gamma_regularizer),
            "beta_constraint": constraints.serialize(self.beta_constraint),
            "gamma_constraint": constraints.serialize(self.gamma_constraint),
        }
