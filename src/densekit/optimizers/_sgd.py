"""Stochastic gradient descent, with or without momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from densekit import ops
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit._core.variable import Variable
from densekit.optimizers._optimizer import Optimizer
from densekit.optimizers._options import Options, within


@export("keras.optimizers")
class SGD(Optimizer):
    """Steps against the gradient.

    ``w <- w - learning_rate * g``. With momentum ``m <- momentum * m - learning_rate * g`` and
    ``w <- w + m``; with `nesterov` the last is ``w <- w + momentum * m - learning_rate * g``.
    ``m`` starts at 0.

    Args:
        learning_rate: as in `Optimizer`. Default: ``0.01``.
        momentum: share of the velocity that is kept, in ``[0, 1]``. Default: ``0.0``.
        nesterov: whether to look ahead. Default: ``False``.
        **options: the common options of `Optimizer`.

    Raises:
        ValueError: for a momentum outside ``[0, 1]`` and as `Optimizer`.

    Example:

    >>> import densekit as keras
    >>> w = keras.Variable([1.0, 2.0])
    >>> keras.optimizers.SGD(learning_rate=0.5).apply([[1.0, 1.0]], [w])
    >>> w.numpy().tolist()
    [0.5, 1.5]

    Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML
    2013."""

    def __init__(
        self,
        learning_rate: object = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.momentum = within("SGD", "momentum", momentum, 0, 1)
        self.nesterov = nesterov
        self.momentums: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Create a velocity for each variable, if there is momentum."""
        if self.built:
            return
        super().build(variables)
        if self.momentum != 0:
            self.momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: ArrayLike
    ) -> None:
        """Change `variable` by one gradient."""
        step = gradient * ops.cast(learning_rate, variable.dtype)
        if self.momentum == 0:
            self.assign_sub(variable, step)
            return
        m = self.momentums[self._dk_index[variable]]
        self.assign(m, self.momentum * m - step)
        self.assign_add(variable, self.momentum * m - step if self.nesterov else m)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}

    def native_form(self) -> NativeForm:
        """``sgd(momentum, nesterov)``."""
        return NativeForm("sgd", (float(self.momentum), float(self.nesterov)))

    def native_slots(self, variable: Variable) -> list[Variable]:
        """``[momentum]``, or nothing without momentum."""
        return [self.momentums[self._dk_index[variable]]] if self.momentum != 0 else []
