"""Nadam: Adam that looks ahead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from densekit import ops
from densekit._core import settings
from densekit._core.registry import export
from densekit._core.variable import Variable
from densekit.optimizers._optimizer import Optimizer
from densekit.optimizers._options import Options

_FADE = 0.96  # Dozat, section "Nadam": the momentum schedule's base


@export("keras.optimizers")
class Nadam(Optimizer):
    """Adam with Nesterov momentum.

    With ``u_t = beta_1 * (1 - 0.96 ** t / 2)`` and ``p_t = u_1 * ... * u_t``, at step
    ``t = 1, 2, ...``: ``m <- m + (1 - beta_1) * (g - m)``;
    ``v <- v + (1 - beta_2) * (g ** 2 - v)``;
    ``h = u_{t+1} * m / (1 - p_{t+1}) + (1 - u_t) * g / (1 - p_t)``;
    ``w <- w - learning_rate * h / (sqrt(v / (1 - beta_2 ** t)) + epsilon)``. ``m`` and ``v`` start
    at 0.

    Args:
        learning_rate: as in `Optimizer`. Default: ``0.001``.
        beta_1: share of the old mean that is kept, in ``[0, 1)``. Default: ``0.9``.
        beta_2: the same for the mean square. Default: ``0.999``.
        epsilon: keeps the divisor from 0. Default: ``1e-7``.
        **options: the common options of `Optimizer`.

    Raises:
        ValueError: as `Optimizer`.

    Example:

    >>> import densekit as keras
    >>> w = keras.Variable([1.0])
    >>> keras.optimizers.Nadam(learning_rate=0.25).apply([[3.0]], [w])
    >>> float(w[0]) < 1.0
    True

    Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self._momentums: list[Variable] = []
        self._velocities: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the running means, and the product of the momentum schedule."""
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(
            variables, ["momentum", "velocity"]
        )
        dtype = variables[0].dtype if variables else settings.floatx()
        self._u_product = self._own_variable(1.0, "variable", dtype)

    def _u(self, t: Any) -> Any:
        return self.beta_1 * (1 - 0.5 * _FADE**t)

    def _backend_update_step(
        self, grads: list[Any], trainable_variables: list[Variable], learning_rate: Any
    ) -> None:
        u = self._u(self._step_number(self._u_product.dtype))
        self.assign(self._u_product, self._u_product.value * u)
        super()._backend_update_step(grads, trainable_variables, learning_rate)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Change `variable` by one gradient."""
        i = self._index[variable]
        m, v = self._momentums[i], self._velocities[i]
        t = self._step_number(variable.dtype)
        product = ops.cast(self._u_product.value, variable.dtype)
        following = self._u(t + 1)
        self.assign_add(m, (gradient - m.value) * (1 - self.beta_1))
        self.assign_add(v, (ops.square(gradient) - v.value) * (1 - self.beta_2))
        ahead = m.value * (following / (1 - product * following))
        mean = ahead + gradient * ((1 - self._u(t)) / (1 - product))
        root = ops.sqrt(v.value / (1 - self.beta_2**t)) + self.epsilon
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * mean / root)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
