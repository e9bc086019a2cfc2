"""`UnitNormalization`: each sample to length 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from densekit import ops
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, TensorLike
from densekit.layers._base.normalizing import AlongAxes

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class UnitNormalization(AlongAxes):
    """Scales to Euclidean length 1 along an axis: ``x / max(norm(x), 1e-12)``.

    Args:
        axis: the axis or axes of the norm. Default: ``-1``.

    Raises:
        TypeError: if `axis` is neither an integer nor a list.

    Example:

    >>> import densekit as keras
    >>> y = keras.layers.UnitNormalization()(keras.ops.array([[3.0, 4.0]]))
    >>> [round(float(v), 3) for v in y[0]]
    [0.6, 0.8]
    """

    def __init__(self, axis: object = -1, **kwargs: Unpack[AllLayerOptions]) -> None:
        super().__init__(**kwargs)
        self._dk_set_axis(axis)
        self._build_at_init()

    def call(self, inputs: TensorLike) -> TensorLike:
        """The scaled inputs."""
        return ops.normalize(inputs, axis=self.axis, order=2, epsilon=1e-12)

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """One step over the rows."""
        return plan.normalization("unit", x, self._dk_axes, 1e-12)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "axis": self.axis}
