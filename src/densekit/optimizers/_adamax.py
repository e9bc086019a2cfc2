"""Adamax: Adam with the largest gradient in place of the root mean square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from densekit import ops
from densekit._core.registry import export
from densekit._core.variable import Variable
from densekit.optimizers._optimizer import Optimizer
from densekit.optimizers._options import Options


@export("keras.optimizers")
class Adamax(Optimizer):
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
        self._means: list[Variable] = []
        self._norms: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the mean and the maximum of each variable."""
        if self.built:
            return
        super().build(variables)
        self._means, self._norms = self.add_optimizer_variables(variables, ["momentum", "norm"])

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Change `variable` by one gradient."""
        i = self._index[variable]
        m, u = self._means[i], self._norms[i]
        correction = 1 - self.beta_1 ** self._step_number(variable.dtype)
        self.assign_add(m, (gradient - m.value) * (1 - self.beta_1))
        self.assign(u, ops.maximum(self.beta_2 * u.value, ops.abs(gradient)))
        rate = ops.cast(learning_rate, variable.dtype) / correction
        self.assign_sub(variable, rate * m.value / (u.value + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
