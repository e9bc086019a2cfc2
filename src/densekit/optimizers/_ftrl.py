"""Follow the regularized leader: sparse online learning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from densekit import initializers, ops
from densekit._core.errors import describe, message
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit._core.variable import Variable
from densekit.optimizers._optimizer import Optimizer
from densekit.optimizers._options import Options


@export("keras.optimizers")
class Ftrl(Optimizer):
    """Sets each weight to the minimizer of a regularized sum of all gradients so far.

    With ``G = g + 2 * l2_shrinkage * w``, ``p = -learning_rate_power``, ``n' = n + g ** 2``:
    ``z <- z + G - (n' ** p - n ** p) / learning_rate * w``;
    ``q = n' ** p / learning_rate + 2 * l2``, where ``l2`` has ``beta / (2 * learning_rate)``
    added; ``w <- (clip(z, -l1, l1) - z) / q``; ``n <- n'``.

    Args:
        learning_rate: as in `Optimizer`. Default: ``0.001``.
        learning_rate_power: how the learning rate falls with ``n``, <= 0. Default: ``-0.5``.
        initial_accumulator_value: first value of ``n``, >= 0. Default: ``0.1``.
        l1_regularization_strength: ``l1``, >= 0. Default: ``0.0``.
        l2_regularization_strength: ``l2``, >= 0. Default: ``0.0``.
        l2_shrinkage_regularization_strength: ``l2_shrinkage``, >= 0. Default: ``0.0``.
        beta: ``beta`` of the paper. Default: ``0.0``.
        **options: the common options of `Optimizer`.

    Raises:
        ValueError: for an argument of the wrong sign and as `Optimizer`.

    Example:

    >>> import densekit as keras
    >>> w = keras.Variable([1.0])
    >>> keras.optimizers.Ftrl(0.1, l1_regularization_strength=100.0).apply([[2.0]], [w])
    >>> float(w[0])
    0.0

    McMahan et al., "Ad click prediction: a view from the trenches", KDD 2013, algorithm 1.
    """

    def __init__(
        self,
        learning_rate: object = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        if learning_rate_power > 0:
            raise ValueError(
                message(
                    "Ftrl",
                    "`learning_rate_power` <= 0",
                    describe(learning_rate_power),
                    "Change its sign.",
                )
            )
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta
        for name in (
            "initial_accumulator_value",
            "l1_regularization_strength",
            "l2_regularization_strength",
            "l2_shrinkage_regularization_strength",
        ):
            value = getattr(self, name)
            if value < 0:
                raise ValueError(
                    message("Ftrl", f"`{name}` >= 0", describe(value), "Change its sign.")
                )
        self._dk_squares: list[Variable] = []
        self._linears: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Create ``n`` and ``z`` of each variable."""
        if self.built:
            return
        super().build(variables)
        self._dk_squares, self._linears = self.add_optimizer_variables(
            variables,
            ["accumulator", "linear"],
            [initializers.Constant(self.initial_accumulator_value), "zeros"],
        )

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: ArrayLike
    ) -> None:
        """Change `variable` by one gradient."""
        i = self._dk_index[variable]
        n, z = self._dk_squares[i], self._linears[i]
        rate = ops.cast(learning_rate, variable.dtype)
        p = -self.learning_rate_power
        l1 = self.l1_regularization_strength
        l2 = self.l2_regularization_strength + self.beta / (2.0 * rate)
        w = variable.current()
        shrunk = gradient + 2 * self.l2_shrinkage_regularization_strength * w
        total = n + ops.square(gradient)
        self.assign_add(z, shrunk - (total**p - n.current() ** p) / rate * w)
        quadratic = total**p / rate + 2 * l2
        self.assign(variable, (ops.clip(z, -l1, l1) - z) / quadratic)
        self.assign(n, total)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "learning_rate_power": self.learning_rate_power,
            "initial_accumulator_value": self.initial_accumulator_value,
            "l1_regularization_strength": self.l1_regularization_strength,
            "l2_regularization_strength": self.l2_regularization_strength,
            "l2_shrinkage_regularization_strength": self.l2_shrinkage_regularization_strength,
            "beta": self.beta,
        }

    def native_form(self) -> NativeForm | None:
        """``ftrl(learning_rate_power, l1, l2, l2_shrinkage, beta)``; None for the power 0."""
        numbers = (
            self.learning_rate_power,
            self.l1_regularization_strength,
            self.l2_regularization_strength,
            self.l2_shrinkage_regularization_strength,
            self.beta,
        )
        return NativeForm("ftrl", tuple(map(float, numbers))) if numbers[0] < 0 else None

    def native_slots(self, variable: Variable) -> list[Variable]:
        """``[sum of squares, linear]``."""
        i = self._dk_index[variable]
        return [self._dk_squares[i], self._linears[i]]
