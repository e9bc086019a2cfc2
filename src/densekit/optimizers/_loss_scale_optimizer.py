"""LossScaleOptimizer: gradients of a loss made larger, so that small ones survive in float16."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from densekit import ops
from densekit._core.errors import describe, message
from densekit._core.native_form import NativeForm, native_form
from densekit._core.registry import Names, export
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Config, TensorLike
from densekit._core.variable import Variable
from densekit.optimizers._native import LossScale
from densekit.optimizers._optimizer import Optimizer
from densekit.optimizers._options import check_count, number
from densekit.optimizers._update_pipeline import when
from densekit.optimizers._wrapper import Wrapper, check_own_options


@export("keras.optimizers")
class LossScaleOptimizer(Wrapper):
    """Scales the loss by a factor that it finds, and the gradients back.

    A step whose gradients are not all finite is left out, and the scale halved; after
    `dynamic_growth_steps` steps in a row that were made the scale is doubled. `Model.compile` wraps
    an optimizer so for the policy "mixed_float16".

    Args:
        inner_optimizer: the `Optimizer` that makes the steps.
        initial_scale: scale of the first step, > 0. Default: ``32768.0``.
        dynamic_growth_steps: steps until the scale is doubled, >= 1. Default: ``2000``.
        name: name of the optimizer. Default: numbered after the class.

    Raises:
        TypeError: if `inner_optimizer` is no optimizer.
        ValueError: for an illegal argument; clipping, weight decay and the other common options
            belong to `inner_optimizer`.

    Example:

    >>> import densekit as keras
    >>> w = keras.Variable([1.0])
    >>> optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5), 8.0)
    >>> optimizer.apply([[float("inf")]], [w])  # left out
    >>> optimizer.apply([[4.0]], [w])  # the gradient of 4 times the loss
    >>> float(w[0]), float(optimizer.dynamic_scale)
    (0.5, 4.0)

    Micikevicius et al., "Mixed precision training", ICLR 2018, section 3.2.
    """

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: object,
    ) -> None:
        if not isinstance(inner_optimizer, Optimizer):
            raise TypeError(
                message(
                    "LossScaleOptimizer",
                    "`inner_optimizer`, an Optimizer",
                    describe(inner_optimizer),
                    "Pass e.g. keras.optimizers.Adam().",
                )
            )
        if not kwargs.pop("dynamic", True):
            raise ValueError(
                message(
                    "LossScaleOptimizer",
                    "no argument `dynamic`",
                    "dynamic=False",
                    "Set `loss_scale_factor` of the inner optimizer instead.",
                )
            )
        check_own_options("LossScaleOptimizer", kwargs)
        legal = "a number > 0"
        initial_scale = number("LossScaleOptimizer", "initial_scale", initial_scale, legal)
        number("LossScaleOptimizer", "initial_scale", initial_scale, legal, initial_scale > 0)
        check_count("LossScaleOptimizer", "dynamic_growth_steps", dynamic_growth_steps, 1)
        super().__init__(learning_rate=0.0, name=name)
        self.inner_optimizer = inner_optimizer
        self.initial_scale = initial_scale
        self.dynamic_growth_steps = dynamic_growth_steps
        inner_optimizer.loss_scale_factor = None  # gradients would be scaled twice

    @property
    def native_parts(self) -> list[Optimizer]:
        """What makes the steps."""
        return self.inner_optimizer.native_parts

    def native_part_of(self, variable: Variable) -> Optimizer:
        """The one of them that changes `variable`."""
        return self.inner_optimizer.native_part_of(variable)

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the scale and its counter, and the state of the inner optimizer."""
        if self.built:
            return
        self.step_counter = self._dk_own_variable(0, "step_counter", "int32")
        self.dynamic_scale = self._dk_own_variable(self.initial_scale, "dynamic_scale", "float32")
        self.inner_optimizer.build(variables)
        super().build(variables)

    @property
    def variables(self) -> list[Variable]:
        """The scale's own, then those of the inner optimizer: the order of files."""
        return [*self._variables, *self.inner_optimizer.variables]

    @property
    def learning_rate(self) -> Any:
        """That of the inner optimizer."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: object) -> None:
        self.inner_optimizer.learning_rate = value

    @property
    def iterations(self) -> Variable | TensorLike:
        """How many updates were made."""
        return self.inner_optimizer.iterations

    def native_form(self) -> NativeForm | None:
        """``loss_scale(dynamic_growth_steps)``, if the kernels know the inner optimizer."""
        known = all(native_form(part) is not None for part in self.native_parts if part.built)
        return NativeForm("loss_scale", (float(self.dynamic_growth_steps),)) if known else None

    def native_loss_scale(self) -> LossScale:
        """The dynamic scale with its counter."""
        if not self.built:  # there is nothing to train
            return LossScale()
        arrays = self.dynamic_scale.array.reshape(1), self.step_counter.array.reshape(1)
        return LossScale(1.0, arrays, int(self.dynamic_growth_steps))

    def advance(self, steps: int) -> None:
        """Count `steps` steps that the engine has made on the buffers."""
        self.inner_optimizer.advance(steps)

    def steps_counted(self) -> int:
        """Steps that the inner optimizer was asked for."""
        return self.inner_optimizer.steps_counted()

    def check_finite(self, grads: Sequence[TensorLike | None]) -> TensorLike:
        """Whether all gradients that are there are finite."""
        return ops.all(ops.stack([ops.all(ops.isfinite(g)) for g in grads if g is not None]))

    def _dk_hand_on(self, pairs: list[tuple[TensorLike, Variable]]) -> None:
        finite = self.check_finite([g for g, _ in pairs])
        scale = self.dynamic_scale.value
        grads = [g if v.overwrite_with_gradient else g / scale for g, v in pairs]
        variables = [v for _, v in pairs]
        changed = [*variables, *self.inner_optimizer.variables]
        when(finite, changed, lambda: self.inner_optimizer.apply(grads, variables))
        counter = self.step_counter.value
        grows = ops.logical_and(finite, counter == self.dynamic_growth_steps - 1)
        counts = ops.logical_and(finite, ops.logical_not(grows))
        self.step_counter.assign(ops.where(counts, counter + 1, 0))
        self.dynamic_scale.assign(scale * ops.where(grows, 2.0, ops.where(finite, 1.0, 0.5)))

    def scale_loss(self, loss: TensorLike) -> TensorLike:
        """``loss * dynamic_scale``."""
        scale = self.dynamic_scale.value if self.built else self.initial_scale
        return loss * scale

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """As the inner optimizer does."""
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            "name": self.name,
            "inner_optimizer": serialize_keras_object(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }

    @classmethod
    def from_config(cls, config: Config, custom_objects: dict[str, object] | None = None) -> Self:
        """Create from `get_config`."""
        config = dict(config)
        inner = deserialize_keras_object(
            config.pop("inner_optimizer"), custom_objects, module_objects=Names("keras.optimizers")
        )
        return cls(inner, **config)
