"""`GroupNormalization`: groups of features of each sample to mean 0 and variance 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from densekit import constraints, initializers, ops, regularizers
from densekit._core.errors import describe, message
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, PartialShape, TensorLike
from densekit._core.variable import Variable
from densekit.layers._base.elementwise import Elementwise
from densekit.layers._base.input_spec import InputSpec

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class GroupNormalization(Elementwise):
    """Normalizes groups of features: ``gamma * (x - mean) / sqrt(variance + epsilon) + beta``.

    Mean and variance (divided by n) are those of the features of a group at all positions of one
    sample. One group is layer normalization, as many as features instance normalization.

    Shapes:
        gamma, beta: the size of `axis`; outputs: as the inputs.

    Args:
        groups: number of groups, which divides the size of `axis`; -1 for as many as features.
            Default: ``32``.
        axis: the axis of the features. Default: ``-1``.
        epsilon: keeps the root away from 0. Default: ``0.001``.
        center: whether `beta` is added. Default: ``True``.
        scale: whether `gamma` is multiplied. Default: ``True``.
        beta_initializer: distribution of the initial `beta`. Default: ``"zeros"``.
        gamma_initializer: distribution of the initial `gamma`. Default: ``"ones"``.
        beta_regularizer, gamma_regularizer: penalty on them. Default: none.
        beta_constraint, gamma_constraint: applied to them after each update. Default: none.

    Raises:
        ValueError: for `groups` of another kind, or that do not divide the features.

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.GroupNormalization(groups=2, epsilon=0.0)
    >>> layer(keras.ops.array([[1.0, 3.0, 10.0, 30.0]])).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]

    Reference: Wu and He, "Group normalization" (ECCV 2018), equations 1 to 7.
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: object = "zeros",
        gamma_initializer: object = "ones",
        beta_regularizer: object = None,
        gamma_regularizer: object = None,
        beta_constraint: object = None,
        gamma_constraint: object = None,
        **kwargs: Unpack[AllLayerOptions],
    ) -> None:
        if not isinstance(groups, int) or (groups <= 0 and groups != -1):
            raise ValueError(
                message(
                    "GroupNormalization", "`groups` >= 1 or -1", describe(groups), "Pass e.g. 2."
                )
            )
        super().__init__(**kwargs)
        self.autocast = False
        self.groups, self.axis, self.epsilon = groups, axis, epsilon
        self.center, self.scale = center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)

    def build(self, input_shape: PartialShape) -> None:
        """Create `gamma` and `beta` for inputs of `input_shape`, batch axis included."""
        size = input_shape[self.axis]
        groups = size if self.groups == -1 else self.groups
        if size is None or groups is None or size % groups:
            raise ValueError(
                message(
                    f"GroupNormalization {self.name!r}",
                    f"a known size of axis {self.axis}, a multiple of groups={groups}",
                    f"input shape {tuple(input_shape)}",
                    "Choose `groups` that divide it.",
                )
            )
        self.groups = groups
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: size})
        self.gamma = self._dk_weight("gamma", size) if self.scale else None
        self.beta = self._dk_weight("beta", size) if self.center else None

    def _dk_weight(self, name: str, size: int) -> Variable:
        return self.add_weight(
            name=name,
            shape=(size,),
            initializer=getattr(self, f"{name}_initializer"),
            regularizer=getattr(self, f"{name}_regularizer"),
            constraint=getattr(self, f"{name}_constraint"),
            autocast=False,
        )

    def call(self, inputs: TensorLike) -> TensorLike:
        """The normalized inputs."""
        wide = "float64" if str(inputs.dtype) == "float64" else "float32"
        shape = tuple(inputs.shape)
        axis = self.axis % len(shape)
        each = (self.groups, shape[axis] // self.groups)  # the axis, taken apart
        x = ops.reshape(ops.cast(inputs, wide), (*shape[:axis], *each, *shape[axis + 1 :]))
        reduced = tuple(a for a in range(1, len(shape) + 1) if a != axis)
        mean = ops.mean(x, axis=reduced, keepdims=True)
        variance = ops.mean(ops.square(x - mean), axis=reduced, keepdims=True)
        spread = [1] * axis + list(each) + [1] * (len(shape) - axis - 1)
        x = (x - mean) / ops.sqrt(variance + self.epsilon)
        if self.gamma is not None:
            x = x * ops.reshape(self.gamma, spread)
        if self.beta is not None:
            x = x + ops.reshape(self.beta, spread)
        return ops.cast(ops.reshape(x, shape), self.compute_dtype)

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """A normalization of each group; scale and offset go along the last axis."""
        shape, rank = x.sample_shape, len(x.shape)
        axis = self.axis % rank
        each = (self.groups, shape[axis - 1] // self.groups)
        y = plan.reshape(x, (*shape[: axis - 1], *each, *shape[axis:]))
        reduced = [a for a in range(1, rank + 1) if a != axis]
        y = plan.reshape(plan.normalization("layer", y, reduced, self.epsilon), shape)
        order = [*(a for a in range(1, rank) if a != axis), axis]
        scales = self.gamma is not None or self.beta is not None
        if scales and axis != rank - 1:
            y = plan.transpose(y, order)
        if self.gamma is not None:
            y = plan.elementwise("multiply", y, self.gamma)
        if self.beta is not None:
            y = plan.elementwise("add", y, self.beta)
        back = [order.index(a) + 1 for a in range(1, rank)]
        return plan.transpose(y, back) if scales and axis != rank - 1 else y

    def get_config(self) -> Config:
        """The constructor's arguments."""
        plain = ("groups", "axis", "epsilon", "center", "scale")
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in plain},
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
            "beta_regularizer": regularizers.serialize(self.beta_regularizer),
            "gamma_regularizer": regularizers.serialize(self.gamma_regularizer),
            "beta_constraint": constraints.serialize(self.beta_constraint),
            "gamma_constraint": constraints.serialize(self.gamma_constraint),
        }
