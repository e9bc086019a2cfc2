"""`Form`: how a layer's main weight is kept and used, where it is not just a variable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

from densekit import ops
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit._core.variable import Variable
from densekit.adapt._uses import Use

# Whole numbers and their scale, of a tensor and axes.
Quantize: TypeAlias = Callable[..., tuple[TensorLike, TensorLike]]


class Form:
    """What stands in for the plain weight of one layer: in `call`, in plans and in files.

    Attributes:
        replaces_call: whether `call` here is the formula, whatever the layer's own says.
    """

    replaces_call: ClassVar[bool] = True

    def __init__(self, layer: Any, use: Use) -> None:
        self.layer = layer
        self.use = use

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weight that the form stands for."""
        raise NotImplementedError

    def weight(self) -> ArrayLike:
        """What the layer shows as its weight, correction included."""
        raise NotImplementedError

    def base(self, inputs: TensorLike) -> TensorLike:
        """What the layer makes of `inputs`, without correction, bias and activation."""
        raise NotImplementedError

    def lower_base(self, plan: PlanBuilder, x: Handle, bias: Variable | None) -> Handle:
        """The native form of `base`, with the bias that goes along with a product."""
        raise NotImplementedError

    def stored(self) -> Config:
        """What files hold, in order: the correction is part of the weight there."""
        raise NotImplementedError

    @property
    def call(self) -> Callable[..., TensorLike]:
        """The formula of the layer."""
        return self._call

    def _call(self, inputs: TensorLike, training: object = None) -> TensorLike:
        """The weight on `inputs`, the correction beside it, then what the layer does with it."""
        layer = self.layer
        outputs = self.base(inputs)
        if layer.lora_enabled:
            a, b = layer._dk_low_rank()
            low = self.use.apply_thin(inputs, a, b)
            outputs = ops.add(outputs, layer._dk_lora_scale * low)
            outputs = ops.cast(outputs, layer.compute_dtype)
        return self.use.finish(layer, outputs)

    def lower(self, plan: PlanBuilder, x: Handle, reverse: bool = False) -> Handle:
        """The native form of `call`: two thin products beside the weight's own."""
        if reverse:
            return plan.not_native("it projects back by an adapted table")
        layer = self.layer
        bias = getattr(layer, "bias", None)
        y = self.lower_base(plan, x, bias)  # which refuses what is no product of rows
        if layer.lora_enabled:
            a, b = layer._dk_low_rank()
            low = plan.dense(self.use.lower(plan, x, a), b, None)
            y = plan.merge("add", [y, plan.affine(low, layer._dk_lora_scale, 0.0)])
        return self.use.lower_finish(plan, layer, y)
