"""What Adam and its relatives share: two running values of each gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Unpack

from densekit import ops
from densekit._core.types import Config, TensorLike
from densekit._core.variable import Variable
from densekit.optimizers._optimizer import Optimizer
from densekit.optimizers._options import Options, at_least_0, number, within


class Moments(Optimizer):
    """Abstract: a mean ``m <- beta_1 * m + (1 - beta_1) * g`` and a second slot for the rule."""

    _dk_slots: ClassVar[tuple[str, str]] = ("momentum", "velocity")

    def __init__(
        self,
        learning_rate: object = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        where = type(self).__name__
        below_1 = "a number in [0, 1)"  # the first steps are divided by 1 - beta_1
        beta_1 = number(where, "beta_1", beta_1, below_1)
        self.beta_1 = number(where, "beta_1", beta_1, below_1, 0 <= beta_1 < 1)
        self.beta_2 = within(where, "beta_2", beta_2, 0, 1)
        self.epsilon = at_least_0(where, "epsilon", epsilon)
        self._momentums: list[Variable] = []
        self._velocities: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the two slots of each variable."""
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(variables, self._dk_slots)

    def _dk_follow_mean(self, gradient: TensorLike, variable: Variable) -> Variable:
        m = self._momentums[self._dk_index[variable]]
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        return m

    def _dk_follow_square(self, gradient: TensorLike, variable: Variable) -> Variable:
        v = self._velocities[self._dk_index[variable]]
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
        return v

    def _dk_numbers(self) -> tuple[float, float, float]:
        return float(self.beta_1), float(self.beta_2), float(self.epsilon)

    def native_slots(self, variable: Variable) -> list[Variable]:
        """The two slots."""
        i = self._dk_index[variable]
        return [self._momentums[i], self._velocities[i]]

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
