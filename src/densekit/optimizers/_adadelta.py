"""Adadelta: steps in the units of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from densekit import ops
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit._core.variable import Variable
from densekit.optimizers._optimizer import Optimizer
from densekit.optimizers._options import Options, at_least_0, within


@export("keras.optimizers")
class Adadelta(Optimizer):
    """Scales gradients by a ratio of running root mean squares: of steps and of gradients.

    ``a <- rho * a + (1 - rho) * g ** 2``; ``s = -g * sqrt(d + epsilon) / sqrt(a + epsilon)``;
    ``d <- rho * d + (1 - rho) * s ** 2``; ``w <- w + learning_rate * s``. All start at 0. The
    paper has ``learning_rate = 1``; the default is Keras', a thousandth of it.

    Args:
        learning_rate: as in `Optimizer`. Default: ``0.001``.
        rho: share of the old means that is kept. Default: ``0.95``.
        epsilon: inside both roots; sets the size of the first steps. Default: ``1e-7``.
        **options: the common options of `Optimizer`.

    Raises:
        ValueError: as `Optimizer`.

    Example:

    >>> import densekit as keras
    >>> w = keras.Variable([1.0])
    >>> keras.optimizers.Adadelta(learning_rate=1.0).apply([[2.0]], [w])
    >>> float(w[0]) < 1.0
    True

    Zeiler, "ADADELTA: an adaptive learning rate method", 2012, algorithm 1.
    """

    def __init__(
        self,
        learning_rate: object = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho = within("Adadelta", "rho", rho, 0, 1)
        self.epsilon = at_least_0("Adadelta", "epsilon", epsilon)
        self._dk_gradients: list[Variable] = []
        self._dk_steps: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the two running mean squares of each variable."""
        if self.built:
            return
        super().build(variables)
        self._dk_gradients, self._dk_steps = self.add_optimizer_variables(
            variables, ["accumulated_grad", "accumulated_delta_var"]
        )

    def update_step(self, grad: TensorLike, variable: Variable, learning_rate: ArrayLike) -> None:
        """Change `variable` by one gradient."""
        i = self._dk_index[variable]
        a, d = self._dk_gradients[i], self._dk_steps[i]
        self.assign(a, self.rho * a + (1 - self.rho) * ops.square(grad))
        step = -grad * ops.sqrt(d + self.epsilon) / ops.sqrt(a + self.epsilon)
        self.assign(d, self.rho * d + (1 - self.rho) * ops.square(step))
        self.assign_add(variable, ops.cast(learning_rate, variable.dtype) * step)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "rho": self.rho, "epsilon": self.epsilon}

    def native_form(self) -> NativeForm:
        """``adadelta(rho, epsilon)``."""
        return NativeForm("adadelta", (float(self.rho), float(self.epsilon)))

    def native_slots(self, variable: Variable) -> list[Variable]:
        """``[mean square of gradients, mean square of steps]``."""
        i = self._dk_index[variable]
        return [self._dk_gradients[i], self._dk_steps[i]]
