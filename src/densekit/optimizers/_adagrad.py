"""Adagrad: steps divided by the root of all squared gradients so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from densekit import initializers, ops
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit._core.variable import Variable
from densekit.optimizers._optimizer import Optimizer
from densekit.optimizers._options import Options, at_least_0


@export("keras.optimizers")
class Adagrad(Optimizer):
    """Divides each gradient by the root of the sum of its squares so far.

    ``a <- a + g ** 2``; ``w <- w - learning_rate * g / sqrt(a + epsilon)``. Epsilon is inside the
    root.

    Args:
        learning_rate: as in `Optimizer`. Default: ``0.001``.
        initial_accumulator_value: first value of ``a``, >= 0. Default: ``0.1``.
        epsilon: keeps the divisor from 0. Default: ``1e-7``.
        **options: the common options of `Optimizer`.

    Raises:
        ValueError: as `Optimizer`.

    Example:

    >>> import densekit as keras
    >>> w = keras.Variable([1.0])
    >>> keras.optimizers.Adagrad(0.5, initial_accumulator_value=0.0).apply([[2.0]], [w])
    >>> round(float(w[0]), 4)
    0.5

    Duchi, Hazan and Singer, "Adaptive subgradient methods", JMLR 12, 2011.
    """

    def __init__(
        self,
        learning_rate: object = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.initial_accumulator_value = at_least_0(
            "Adagrad", "initial_accumulator_value", initial_accumulator_value
        )
        self.epsilon = at_least_0("Adagrad", "epsilon", epsilon)
        self._dk_sums: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the sums of squares."""
        if self.built:
            return
        super().build(variables)
        self._dk_sums = self.add_optimizer_variables(
            variables, "accumulator", initializers.Constant(self.initial_accumulator_value)
        )

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: ArrayLike
    ) -> None:
        """Change `variable` by one gradient."""
        a = self._dk_sums[self._dk_index[variable]]
        self.assign_add(a, ops.square(gradient))
        step = ops.cast(learning_rate, variable.dtype) * gradient
        self.assign_sub(variable, step / ops.sqrt(a + self.epsilon))

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }

    def native_form(self) -> NativeForm:
        """``adagrad(epsilon)``."""
        return NativeForm("adagrad", (float(self.epsilon),))

    def native_slots(self, variable: Variable) -> list[Variable]:
        """``[sum of squares]``."""
        return [self._dk_sums[self._dk_index[variable]]]
