"""RMSprop: steps divided by a running root mean square of the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from densekit import ops
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit._core.variable import Variable
from densekit.optimizers._optimizer import Optimizer
from densekit.optimizers._options import Options, at_least_0, within


@export("keras.optimizers")
class RMSprop(Optimizer):
    """Divides each gradient by the root of its running mean square.

    ``v <- rho * v + (1 - rho) * g ** 2``; ``s = learning_rate * g / sqrt(v + epsilon)``;
    ``w <- w - s``. With `centered`, ``a <- rho * a + (1 - rho) * g`` and ``v - a ** 2`` stands for
    ``v`` under the root. With momentum, ``m <- momentum * m + s`` and ``w <- w - m``. All start at
    0; epsilon is inside the root.

    Args:
        learning_rate: as in `Optimizer`. Default: ``0.001``.
        rho: share of the old mean that is kept, in ``[0, 1)``. Default: ``0.9``.
        momentum: share of the velocity that is kept; 0 is none. Default: ``0.0``.
        epsilon: keeps the divisor from 0. Default: ``1e-7``.
        centered: whether to divide by the deviation instead of the root mean square. Default:
            ``False``.
        **options: the common options of `Optimizer`.

    Raises:
        ValueError: as `Optimizer`.

    Example:

    >>> import densekit as keras
    >>> w = keras.Variable([1.0])
    >>> keras.optimizers.RMSprop(learning_rate=0.1, rho=0.75).apply([[2.0]], [w])
    >>> round(float(w[0]), 4)  # the first step is learning_rate / sqrt(1 - rho)
    0.8

    Tieleman and Hinton, "Lecture 6.5: rmsprop", Coursera, 2012; centered: Graves, 2013, equations
    38-41."""

    def __init__(
        self,
        learning_rate: object = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho = within("RMSprop", "rho", rho, 0, 1)
        self.momentum = at_least_0("RMSprop", "momentum", momentum)
        self.epsilon = at_least_0("RMSprop", "epsilon", epsilon)
        self.centered = centered
        self._velocities: list[Variable] = []
        self._momentums: list[Variable] = []
        self._average_gradients: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the running means, and velocities and centers where asked for."""
        if self.built:
            return
        super().build(variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")
        if self.momentum > 0:
            self._momentums = self.add_optimizer_variables(variables, "momentum")
        if self.centered:
            self._average_gradients = self.add_optimizer_variables(variables, "average_gradient")

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: ArrayLike
    ) -> None:
        """Change `variable` by one gradient."""
        i = self._dk_index[variable]
        v = self._velocities[i]
        self.assign(v, self.rho * v + (1 - self.rho) * ops.square(gradient))
        spread: Variable | TensorLike = v
        if self.centered:
            a = self._average_gradients[i]
            self.assign(a, self.rho * a + (1 - self.rho) * gradient)
            spread = spread - ops.square(a)
        step: Variable | TensorLike = (
            ops.cast(learning_rate, variable.dtype) * gradient / ops.sqrt(spread + self.epsilon)
        )
        if self.momentum > 0:
            m = self._momentums[i]
            self.assign(m, self.momentum * m + step)
            step = m
        self.assign_sub(variable, step)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }

    def native_form(self) -> NativeForm:
        """``rmsprop(rho, momentum, epsilon, centered)``."""
        numbers = (self.rho, max(self.momentum, 0.0), self.epsilon, self.centered)
        return NativeForm("rmsprop", tuple(float(x) for x in numbers))

    def native_slots(self, variable: Variable) -> list[Variable]:
        """``[velocity, momentum, average gradient]``, the last two where used."""
        i = self._dk_index[variable]
        kinds = (self._velocities, self._momentums, self._average_gradients)
        return [slots[i] for slots in kinds if slots]
