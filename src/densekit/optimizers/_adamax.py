"""Adamax: Adam with the largest gradient in place of the root mean square."""

from __future__ import annotations

from densekit import ops
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, TensorLike
from densekit._core.variable import Variable
from densekit.optimizers._moments import Moments


@export("keras.optimizers")
class Adamax(Moments):
    """Divides the running mean of the gradient by its fading maximum.

    At step ``t = 1, 2, ...``: ``m <- m + (1 - beta_1) * (g - m)``; ``u <- max(beta_2 * u, |g|)``;
    ``w <- w - learning_rate / (1 - beta_1 ** t) * m / (u + epsilon)``. Both start at 0.

    Args:
        learning_rate: as in `Optimizer`. Default: ``0.001``.
        beta_1: share of the old mean that is kept, in ``[0, 1)``. Default: ``0.9``.
        beta_2: what is left of an old maximum after a step. Default: ``0.999``.
        epsilon: keeps the divisor from 0. Default: ``1e-7``.
        **options: the common options of `Optimizer`.

    Raises:
        ValueError: as `Optimizer`.

    Example:

    >>> import densekit as keras
    >>> w = keras.Variable([1.0])
    >>> keras.optimizers.Adamax(learning_rate=0.25).apply([[3.0]], [w])
    >>> round(float(w[0]), 4)
    0.75

    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 2.
    """

    _dk_slots = ("momentum", "norm")

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: ArrayLike
    ) -> None:
        """Change `variable` by one gradient."""
        u = self._velocities[self._dk_index[variable]]  # the second slot, here `norm`
        correction = 1 - self.beta_1 ** self._dk_step_number(variable.dtype)
        m = self._dk_follow_mean(gradient, variable)
        self.assign(u, ops.maximum(self.beta_2 * u, ops.abs(gradient)))
        rate = ops.cast(learning_rate, variable.dtype) / correction
        self.assign_sub(variable, rate * m / (u + self.epsilon))

    def native_form(self) -> NativeForm:
        """``adamax(beta_1, beta_2, epsilon)``."""
        return NativeForm("adamax", self._dk_numbers())
