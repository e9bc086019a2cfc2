"""Nadam: Adam that looks ahead."""

from __future__ import annotations

from collections.abc import Sequence

from densekit import ops
from densekit._core import settings
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, TensorLike
from densekit._core.variable import Variable
from densekit.optimizers._moments import Moments

_FADE = 0.96  # Dozat, section "Nadam": the momentum schedule's base


@export("keras.optimizers")
class Nadam(Moments):
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

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the running means, and the product of the momentum schedule."""
        if self.built:
            return
        super().build(variables)
        dtype = variables[0].dtype if variables else settings.floatx()
        self._u_product = self._dk_own_variable(1.0, "variable", dtype)

    def _dk_u(self, t: float | TensorLike) -> float | TensorLike:
        momentum: float | TensorLike = self.beta_1 * (1 - 0.5 * _FADE**t)
        return momentum

    def _backend_update_step(
        self, grads: list[TensorLike], trainable_variables: list[Variable], learning_rate: ArrayLike
    ) -> None:
        u = self._dk_u(self._dk_step_number(self._u_product.dtype))
        self.assign(self._u_product, self._u_product.value * u)
        super()._backend_update_step(grads, trainable_variables, learning_rate)

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: ArrayLike
    ) -> None:
        """Change `variable` by one gradient."""
        t = self._dk_step_number(variable.dtype)
        product = ops.cast(self._u_product.value, variable.dtype)
        following = self._dk_u(t + 1)
        m = self._dk_follow_mean(gradient, variable)
        v = self._dk_follow_square(gradient, variable)
        ahead = m * (following / (1 - product * following))
        mean = ahead + gradient * ((1 - self._dk_u(t)) / (1 - product))
        root = ops.sqrt(v / (1 - self.beta_2**t)) + self.epsilon
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * mean / root)

    def native_form(self) -> NativeForm:
        """``nadam(beta_1, beta_2, epsilon)``."""
        return NativeForm("nadam", self._dk_numbers())

    def native_product(self) -> Variable:
        """The product of the momentum schedule so far."""
        return self._u_product
