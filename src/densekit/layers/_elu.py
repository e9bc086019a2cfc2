"""`ELU`: the exponential linear unit as a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from densekit import activations
from densekit._core.native_form import NativeForm
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import TensorLike
from densekit.layers._base.elementwise import Elementwise

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class ELU(Elementwise):
    """Exponential linear unit: ``x if x >= 0 else alpha * (exp(x) - 1)``.

    Args:
        alpha: minus the limit for x towards minus infinity. Default: ``1.0``.

    Example:

    >>> import densekit as keras
    >>> keras.layers.ELU()(keras.ops.array([[0.0, 2.0]])).tolist()
    [[0.0, 2.0]]

    Reference: Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by
    exponential linear units" (ICLR 2016), equation 15.
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Unpack[AllLayerOptions]) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha
        self._build_at_init()

    def call(self, inputs: TensorLike) -> TensorLike:
        """The unit's outputs."""
        return activations.elu(inputs, alpha=self.alpha)

    def native_form(self) -> NativeForm:
        """The native kernel, also where the layer is another layer's activation."""
        return NativeForm("elu", (float(self.alpha),))

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """One elementwise step."""
        return plan.activation(x, self.native_form())
