"""`RMSNormalization`: each sample to mean square 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from densekit import ops
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, PartialShape, TensorLike
from densekit.layers._base.normalizing import AlongAxes

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class RMSNormalization(AlongAxes):
    """Scales each sample: ``scale * x / sqrt(mean(x**2) + epsilon)``.

    Shapes:
        scale: the sizes of `axis`; outputs: as the inputs.

    Args:
        axis: the axis or axes of the mean. Default: ``-1``.
        epsilon: keeps the root away from 0. Default: ``1e-6``.

    Raises:
        TypeError: if `axis` is neither an integer nor a list.

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.RMSNormalization(epsilon=0.0)
    >>> layer(keras.ops.array([[2.0, -2.0]])).tolist()
    [[1.0, -1.0]]

    Reference: Zhang and Sennrich, "Root mean square layer normalization" (NeurIPS 2019), eq. 4.
    """

    def __init__(
        self, axis: object = -1, epsilon: float = 1e-6, **kwargs: Unpack[AllLayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = False
        self._dk_set_axis(axis)
        self.epsilon = epsilon

    def build(self, input_shape: PartialShape) -> None:
        """Create `scale` for inputs of `input_shape`, batch axis included."""
        shape = self._dk_fix_axes(input_shape)
        self.scale = self.add_weight(name="scale", shape=shape, initializer="ones")

    def call(self, x: TensorLike) -> TensorLike:
        """The scaled inputs."""
        wide = "float64" if str(x.dtype) == "float64" else "float32"
        scale = ops.cast(self._dk_spread(self.scale, x), wide)
        x = ops.cast(x, wide)
        square = ops.mean(ops.square(x), axis=self._dk_axes, keepdims=True)
        return ops.cast(x / ops.sqrt(square + self.epsilon) * scale, self.compute_dtype)

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """One step over the rows."""
        return plan.normalization("rms", x, self._dk_axes, self.epsilon, self.scale)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}
