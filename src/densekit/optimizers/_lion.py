"""Lion: steps of one size, in the direction of a momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from densekit import ops
from densekit._core.errors import describe, message
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit._core.variable import Variable
from densekit.optimizers._optimizer import Optimizer
from densekit.optimizers._options import Options


@export("keras.optimizers")
class Lion(Optimizer):
    """Moves every weight by the learning rate, up or down.

    ``w <- w - learning_rate * sign(beta_1 * m + (1 - beta_1) * g)``;
    ``m <- beta_2 * m + (1 - beta_2) * g``. ``m`` starts at 0. Its learning rate is usually 3 to 10
    times smaller than Adam's.

    Args:
        learning_rate: as in `Optimizer`. Default: ``0.001``.
        beta_1: weight of ``m`` against the gradient in a step, in ``(0, 1]``. Default: ``0.9``.
        beta_2: share of the old ``m`` that is kept. Default: ``0.99``.
        **options: the common options of `Optimizer`.

    Raises:
        ValueError: for a `beta_1` outside ``(0, 1]`` and as `Optimizer`.

    Example:

    >>> import densekit as keras
    >>> w = keras.Variable([1.0, 1.0])
    >>> keras.optimizers.Lion(learning_rate=0.25).apply([[3.0, -0.1]], [w])
    >>> w.numpy().tolist()
    [0.75, 1.25]

    Chen et al., "Symbolic discovery of optimization algorithms", 2023, program 1.
    """

    def __init__(
        self,
        learning_rate: object = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        if not 0 < beta_1 <= 1:
            raise ValueError(
                message("Lion", "`beta_1` in (0, 1]", describe(beta_1), "Change `beta_1`.")
            )
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self._momentums: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Create a momentum for each variable."""
        if self.built:
            return
        super().build(variables)
        self._momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: ArrayLike
    ) -> None:
        """Change `variable` by one gradient."""
        m = self._momentums[self._dk_index[variable]]
        direction = ops.sign(self.beta_1 * m.current() + (1 - self.beta_1) * gradient)
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * direction)
        self.assign(m, self.beta_2 * m.current() + (1 - self.beta_2) * gradient)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2}

    def native_form(self) -> NativeForm:
        """``lion(beta_1, beta_2)``."""
        return NativeForm("lion", (float(self.beta_1), float(self.beta_2)))

    def native_slots(self, variable: Variable) -> list[Variable]:
        """``[momentum]``."""
        return [self._momentums[self._dk_index[variable]]]
