"""`ActivityRegularization`: a penalty on what flows through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from densekit import regularizers
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, TensorLike
from densekit.layers._base.elementwise import Elementwise

if TYPE_CHECKING:
    from densekit.layers._base.options import LayerOptions


@export("keras.layers")
class ActivityRegularization(Elementwise):
    """Passes its input on and adds ``(l1 * sum(|x|) + l2 * sum(x ** 2)) / batch`` to the loss.

    Args:
        l1: factor of the absolute values, >= 0. Default: ``0.0``.
        l2: factor of the squares, >= 0. Default: ``0.0``.

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.ActivityRegularization(l2=0.5)
    >>> y = layer(keras.ops.array([[2.0], [2.0]]))
    >>> float(layer.losses[0])
    2.0
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.l1 = l1
        self.l2 = l2
        self._build_at_init()

    def call(self, inputs: TensorLike) -> TensorLike:
        """The inputs."""
        return inputs

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """The penalty is added by whoever lowers the model."""
        return x

    def get_config(self) -> Config:
        """The constructor's arguments."""
        config = super().get_config()
        config.pop("activity_regularizer", None)
        return {**config, "l1": self.l1, "l2": self.l2}
