"""ScheduleFreeAdamW: an average of the weights takes the place of a falling learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from densekit import ops
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit._core.variable import Variable
from densekit.optimizers._moments import Moments
from densekit.optimizers._options import Options, at_least_0, number


@export("keras.optimizers")
class ScheduleFreeAdamW(Moments):
    """Adam on weights ``z``, whose mean ``x`` is what it seeks; gradients are taken between both.

    The model holds ``y``. At step ``t = 1, 2, ...``: ``v <- v + (1 - beta_2) * (g ** 2 - v)``;
    ``a = learning_rate * min(1, t / warmup_steps)``;
    ``x = (y - (1 - beta_1) * z) / beta_1``;
    ``z <- z - a * g / (sqrt(v / (1 - beta_2 ** t)) + epsilon)``; ``x <- x + (z - x) / t``;
    ``y <- beta_1 * x + (1 - beta_1) * z``. ``z`` starts at the weights, ``v`` at 0. The slot of
    ``z`` is called "momentum".

    Args:
        learning_rate: as in `Optimizer`. Default: ``0.0025``.
        beta_1: how near ``y`` is to ``x``, in ``(0, 1]``. Default: ``0.9``.
        beta_2: share of the old mean square that is kept, in ``[0, 1]``. Default: ``0.999``.
        epsilon: keeps the divisor from 0. Default: ``1e-8``.
        warmup_steps: steps in which the learning rate grows to its full size, >= 0. Default: ``0``.
        **options: the common options of `Optimizer`.

    Raises:
        ValueError: as `Optimizer`.

    Example:

    >>> import densekit as keras
    >>> w = keras.Variable([1.0])
    >>> keras.optimizers.ScheduleFreeAdamW(learning_rate=0.25).apply([[3.0]], [w])
    >>> round(float(w[0]), 4)
    0.75

    Defazio et al., "The road less scheduled", 2024, algorithm 1.
    """

    def __init__(
        self,
        learning_rate: object = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        **options: Unpack[Options],
    ) -> None:
        legal = "a number in (0, 1]"
        beta_1 = number("ScheduleFreeAdamW", "beta_1", beta_1, legal)
        number("ScheduleFreeAdamW", "beta_1", beta_1, legal, 0 < beta_1 <= 1)
        super().__init__(learning_rate, 0.0, beta_2, epsilon, **options)
        self.beta_1 = beta_1
        self.warmup_steps = at_least_0("ScheduleFreeAdamW", "warmup_steps", warmup_steps)

    def build(self, variables: Sequence[Variable]) -> None:
        """Create ``z``, equal to the variables, and the mean squares."""
        if self.built:
            return
        super().build(variables)
        for z, variable in zip(self._momentums, variables, strict=True):
            if z is not None:
                z.assign(variable)

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: ArrayLike
    ) -> None:
        """Change `variable` by one gradient."""
        t = self._dk_step_number(variable.dtype)
        rate = ops.cast(learning_rate, variable.dtype)
        if self.warmup_steps > 0:
            share = t / self.warmup_steps
            rate = rate * (min(share, 1.0) if isinstance(share, float) else ops.minimum(share, 1.0))
        z = self._momentums[self._dk_index[variable]]
        x = (variable - (1 - self.beta_1) * z) / self.beta_1
        v = self._dk_follow_square(gradient, variable)
        root = ops.sqrt(v / (1 - self.beta_2**t)) + self.epsilon
        self.assign_sub(z, rate * gradient / root)
        x = (1 - 1 / t) * x + 1 / t * z
        self.assign(variable, (1 - self.beta_1) * z + self.beta_1 * x)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "warmup_steps": self.warmup_steps}

    def native_form(self) -> NativeForm:
        """``schedule_free(beta_1, beta_2, epsilon, warmup_steps)``."""
        return NativeForm("schedule_free", (*self._dk_numbers(), float(self.warmup_steps)))
