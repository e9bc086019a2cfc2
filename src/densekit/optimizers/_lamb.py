"""Lamb: Adam with steps as long as the weights are."""

from __future__ import annotations

from densekit import ops
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, TensorLike
from densekit._core.variable import Variable
from densekit.optimizers._moments import Moments


@export("keras.optimizers")
class Lamb(Moments):
    """Scales the step of Adam by the ratio of the norms of weights and step.

    At step ``t = 1, 2, ...``: ``m <- m + (1 - beta_1) * (g - m)``;
    ``v <- v + (1 - beta_2) * (g ** 2 - v)``;
    ``s = m / (1 - beta_1 ** t) / (sqrt(v / (1 - beta_2 ** t)) + epsilon)``;
    ``w <- w - learning_rate * ||w|| / ||s|| * s``, the ratio being 1 where a norm is 0. Both start
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
    >>> w = keras.Variable([4.0])
    >>> keras.optimizers.Lamb(learning_rate=0.25).apply([[3.0]], [w])
    >>> round(float(w[0]), 4)
    3.0

    You et al., "Large batch optimization for deep learning", ICLR 2020, algorithm 2.
    """

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: ArrayLike
    ) -> None:
        """Change `variable` by one gradient."""
        t = self._dk_step_number(variable.dtype)
        m = self._dk_follow_mean(gradient, variable)
        v = self._dk_follow_square(gradient, variable)
        root = ops.sqrt(v / (1 - self.beta_2**t)) + self.epsilon
        step = m / (1 - self.beta_1**t) / root
        weight_norm = ops.sqrt(ops.sum(ops.square(variable)))
        step_norm = ops.sqrt(ops.sum(ops.square(step)))
        both = ops.logical_and(weight_norm > 0, step_norm > 0)
        ratio = ops.where(both, weight_norm / ops.where(both, step_norm, 1.0), 1.0)
        ratio = ops.cast(ratio, variable.dtype)
        self.assign_sub(variable, ratio * ops.cast(learning_rate, variable.dtype) * step)

    def native_form(self) -> NativeForm:
        """``lamb(beta_1, beta_2, epsilon)``."""
        return NativeForm("lamb", self._dk_numbers())
