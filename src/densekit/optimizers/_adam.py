"""Adam and AdamW: steps from running means of the gradient and of its square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from densekit import ops
from densekit._core.errors import message
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit._core.variable import Variable
from densekit.optimizers._moments import Moments
from densekit.optimizers._options import Options, OtherOptions


@export("keras.optimizers")
class Adam(Moments):
    """Divides the running mean of the gradient by the root of the running mean of its square.

    At step ``t = 1, 2, ...``: ``m <- m + (1 - beta_1) * (g - m)``;
    ``v <- v + (1 - beta_2) * (g ** 2 - v)``;
    ``a = learning_rate * sqrt(1 - beta_2 ** t) / (1 - beta_1 ** t)``;
    ``w <- w - a * m / (sqrt(v) + epsilon)``. With `amsgrad` the largest ``v`` so far divides. All
    start at 0. Epsilon is the "epsilon hat" of the paper, added after the correction.

    Args:
        learning_rate: as in `Optimizer`. Default: ``0.001``.
        beta_1: share of the old mean that is kept, in ``[0, 1)``. Default: ``0.9``.
        beta_2: the same for the mean square. Default: ``0.999``.
        epsilon: keeps the divisor from 0. Default: ``1e-7``.
        amsgrad: whether the divisor may never fall. Default: ``False``.
        **options: the common options of `Optimizer`.

    Raises:
        ValueError: as `Optimizer`.

    Example:

    >>> import densekit as keras
    >>> w = keras.Variable([1.0])
    >>> keras.optimizers.Adam(learning_rate=0.25).apply([[3.0]], [w])
    >>> round(float(w[0]), 4)  # the first step is learning_rate, whatever the gradient
    0.75

    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, end of section 2;
    amsgrad: Reddi, Kale and Kumar, "On the convergence of Adam and beyond", ICLR 2018.
    """

    def __init__(
        self,
        learning_rate: object = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **options)
        self.amsgrad = amsgrad
        self._velocity_hats: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the running means, and with `amsgrad` the largest mean squares."""
        if self.built:
            return
        super().build(variables)
        if self.amsgrad:
            self._velocity_hats = self.add_optimizer_variables(variables, "velocity_hat")

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: ArrayLike
    ) -> None:
        """Change `variable` by one gradient."""
        t = self._dk_step_number(variable.dtype)
        correction = (1 - self.beta_2**t) ** 0.5 / (1 - self.beta_1**t)
        alpha = ops.cast(learning_rate, variable.dtype) * correction
        m = self._dk_follow_mean(gradient, variable)
        v = self._dk_follow_square(gradient, variable)
        if self.amsgrad:
            largest = self._velocity_hats[self._dk_index[variable]]
            self.assign(largest, ops.maximum(largest, v))
            v = largest
        self.assign_sub(variable, alpha * m / (ops.sqrt(v) + self.epsilon))

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "amsgrad": self.amsgrad}

    def native_form(self) -> NativeForm:
        """``adam(beta_1, beta_2, epsilon, amsgrad)``."""
        return NativeForm("adam", (*self._dk_numbers(), float(self.amsgrad)))

    def native_slots(self, variable: Variable) -> list[Variable]:
        """``[momentum, velocity]``, and the largest velocity with `amsgrad`."""
        largest = [self._velocity_hats[self._dk_index[variable]]] if self.amsgrad else []
        return [*super().native_slots(variable), *largest]


@export("keras.optimizers")
class AdamW(Adam):
    """Adam with weight decay beside the gradient instead of inside it.

    ``w <- w - w * weight_decay * learning_rate``, then the step of `Adam`. A kernel regularizer L2
    is not the same: its gradient is divided by the root mean square like any other.

    Args:
        learning_rate: as in `Optimizer`. Default: ``0.001``.
        weight_decay: share of each weight, times the learning rate, that a step takes away.
            Default: ``0.004``.
        beta_1: as in `Adam`. Default: ``0.9``.
        beta_2: as in `Adam`. Default: ``0.999``.
        epsilon: as in `Adam`. Default: ``1e-7``.
        amsgrad: as in `Adam`. Default: ``False``.
        **options: the other common options of `Optimizer`.

    Raises:
        ValueError: if `weight_decay` is None and as `Optimizer`.

    Example:

    >>> import densekit as keras
    >>> optimizer = keras.optimizers.AdamW(weight_decay=0.01)
    >>> optimizer.exclude_from_weight_decay(var_names=["bias"])

    Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2.
    """

    def __init__(
        self,
        learning_rate: object = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Unpack[OtherOptions],
    ) -> None:
        if weight_decay is None:
            raise ValueError(
                message("AdamW", "`weight_decay` a number", "None", "Use Adam to go without.")
            )
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **options
        )

    def native_form(self) -> NativeForm:
        """That of `Adam`; weight decay is one of the common options."""
        return super().native_form()
