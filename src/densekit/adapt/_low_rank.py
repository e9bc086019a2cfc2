"""LoRA: a frozen weight, and a trained product of two thin matrices beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from densekit import initializers, ops
from densekit._core.errors import describe, message
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit._core.variable import Variable
from densekit.adapt._form import Form


def enable_lora(
    layer: Any, rank: int, lora_alpha: float | None, a_initializer: object, b_initializer: object
) -> None:
    """Freeze the main weight of `layer` and add ``(lora_alpha / rank) * A @ B`` to it.

    Raises:
        ValueError: if the weight has a constraint, the layer is not built or corrected already.
    """
    name = layer._dk_weight
    where = f"{type(layer).__name__} {layer.name!r}.enable_lora"
    if getattr(layer, f"{name}_constraint"):
        raise ValueError(
            message(
                where,
                f"a layer without `{name}_constraint`",
                "one with: Lora is incompatible with constraints",
                f"Leave out `{name}_constraint`.",
            )
        )
    if not layer.built:
        raise ValueError(
            message(
                where,
                "a built layer",
                "one without weights: Cannot enable lora on a layer that isn't yet built",
                "Call it on data or `layer.build(input_shape)` first.",
            )
        )
    if layer.lora_enabled:
        raise ValueError(
            message(
                where,
                "a layer without LoRA",
                "one with: lora is already enabled, this can only be done once per layer",
                "Train its `lora_` weights as they are.",
            )
        )
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        raise ValueError(message(where, "`rank`, an integer >= 1", describe(rank), "Pass e.g. 4."))
    add_low_rank(layer, rank, lora_alpha, a_initializer, b_initializer)


def add_low_rank(
    layer: Any, rank: int, lora_alpha: float | None, a_initializer: object, b_initializer: object
) -> None:
    """The work of `enable_lora`, also for a layer that is being built."""
    name = layer._dk_weight
    weight: Variable = getattr(layer, f"_{name}")
    shape = weight.shape if layer._dk_form is None else layer._dk_form.shape
    made = {
        "a": ((*shape[:-1], rank), initializers.get(a_initializer)),
        "b": ((rank, shape[-1]), initializers.get(b_initializer)),
    }
    tracker = layer._tracker
    locked, before = tracker.locked, tracker.snapshot()
    tracker.locked = False
    try:
        # Thin matrices learn in float32, whatever the weight is kept in: steps are small.
        factors = {
            f"lora_{name}_{end}": layer.add_weight(
                name=f"lora_{name}_{end}",
                shape=size,
                initializer=initializer,
                dtype="float32",
                regularizer=getattr(layer, f"{name}_regularizer"),
            )
            for end, (size, initializer) in made.items()
        }
    except BaseException:
        tracker.restore(before)
        raise
    finally:
        tracker.locked = locked
    for key, factor in factors.items():
        setattr(layer, key, factor)
    weight.trainable = False
    layer.lora_rank = rank
    layer.lora_alpha = rank if lora_alpha is None else lora_alpha
    layer.lora_enabled = True
    if layer._dk_form is None:
        layer._dk_form = LowRankForm(layer, layer._dk_use())
    tracker.flags_changed()
    tracker.changed()


def corrected(layer: Any, weight: ArrayLike) -> ArrayLike:
    """`weight` with the product of the thin matrices added, if the layer has them."""
    if not layer.lora_enabled:
        return weight
    a, b = layer._dk_low_rank()
    total = ops.add(weight, layer._dk_lora_scale * ops.matmul(a, b))
    return ops.cast(total, layer.compute_dtype)


class LowRankForm(Form):
    """A weight of floats with a correction: the layer's own `call` reads the sum of both."""

    replaces_call: ClassVar[bool] = False

    @property
    def _variable(self) -> Variable:
        variable: Variable = getattr(self.layer, f"_{self.layer._dk_weight}")
        return variable

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weight."""
        return self._variable.shape

    def weight(self) -> ArrayLike:
        """The sum."""
        return corrected(self.layer, self._variable)

    @property
    def call(self) -> Callable[..., TensorLike]:
        """That of the layer."""
        call: Callable[..., TensorLike] = self.layer.call
        return call

    def lower_base(self, plan: PlanBuilder, x: Handle, bias: Variable | None) -> Handle:
        """The product with the frozen weight."""
        return self.use.lower(plan, x, self._variable, bias)

    def stored(self) -> Config:
        """The sum, in the type of the weight, and what else the layer has."""
        name = self.layer._dk_weight
        others: Config = self.layer._dk_other_variables()
        return {name: ops.cast(self.weight(), self._variable.dtype), **others}
