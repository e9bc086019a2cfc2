"""Adafactor: a mean square kept as rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from densekit import ops
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit._core.variable import Variable
from densekit.optimizers._optimizer import Optimizer
from densekit.optimizers._options import Options


@export("keras.optimizers")
class Adafactor(Optimizer):
    """Divides gradients by a root mean square that is kept as one number a row and one a column.

    At step ``t = 1, 2, ...``, with ``b = 1 - t ** beta_2_decay`` and ``q = g ** 2 + epsilon_1``:
    for kernels ``r <- b * r + (1 - b) * mean(q, -1)``, ``c <- b * c + (1 - b) * mean(q, -2)``,
    ``v = r / mean(r) * c``; for vectors ``v <- b * v + (1 - b) * q``. Then ``u = g / sqrt(v)``;
    ``s = max(epsilon_2, rms(w)) * min(learning_rate, 1 / sqrt(t))``;
    ``w <- w - s * u / max(1, rms(u) / clip_threshold)``.

    Args:
        learning_rate: as in `Optimizer`. Default: ``0.001``.
        beta_2_decay: how fast the mean square slows down, < 0. Default: ``-0.8``.
        epsilon_1: keeps the mean square from 0. Default: ``1e-30``.
        epsilon_2: least size of the weights in the step's scale. Default: ``0.001``.
        clip_threshold: largest root mean square of ``u``. Default: ``1.0``.
        relative_step: kept for configs; the rate is bounded by ``1 / sqrt(t)`` in any case.
            Default: ``True``.
        **options: the common options of `Optimizer`.

    Raises:
        ValueError: as `Optimizer`.

    Example:

    >>> import densekit as keras
    >>> w = keras.Variable([1.0])
    >>> keras.optimizers.Adafactor(learning_rate=0.25).apply([[3.0]], [w])
    >>> round(float(w[0]), 4)
    0.75

    Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory cost", 2018,
    algorithms 4 and 5."""

    def __init__(
        self,
        learning_rate: object = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold
        self.relative_step = relative_step
        self._dk_rows: list[Variable | None] = []
        self._dk_columns: list[Variable | None] = []
        self._velocities: list[Variable | None] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Create rows, columns and mean squares; in files a vector has two unused zeros."""
        if self.built:
            return
        super().build(variables)
        for variable in variables:
            self._dk_rows.append(self._dk_part(variable, variable.shape[:-1]))
            self._dk_columns.append(
                self._dk_part(variable, (*variable.shape[:-2], *variable.shape[-1:]))
            )
            owned = not variable.overwrite_with_gradient
            self._velocities.append(
                self.add_variable_from_reference(variable, "velocity") if owned else None
            )

    def _dk_part(self, variable: Variable, shape: tuple[int, ...]) -> Variable | None:
        if variable.ndim < 2:
            unused = self._dk_own_variable(0, variable.name, "int32")
            self._dk_track(unused)
            return unused
        if variable.overwrite_with_gradient:
            return None
        return self.add_variable(shape, dtype=variable.dtype, name=variable.name)

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: ArrayLike
    ) -> None:
        """Change `variable` by one gradient."""
        i = self._dk_index[variable]
        r, c, v = self._dk_rows[i], self._dk_columns[i], self._velocities[i]
        assert r is not None and c is not None and v is not None
        t = self._dk_step_number(variable.dtype)
        keep = 1 - t**self.beta_2_decay
        square = ops.square(gradient) + self.epsilon_1
        if variable.ndim >= 2:
            self.assign(r, keep * r + (1 - keep) * ops.mean(square, axis=-1))
            self.assign(c, keep * c + (1 - keep) * ops.mean(square, axis=-2))
            share = r / ops.mean(r, axis=-1, keepdims=True)
            share, of_column = ops.expand_dims(share, -1), ops.expand_dims(c, -2)
            self.assign(v, share * of_column)
            # Of a silent row and a silent column the product is too small for float32.
            root = ops.sqrt(share) * ops.sqrt(of_column)
        else:
            self.assign(v, keep * v + (1 - keep) * square)
            root = ops.sqrt(v)
        step = gradient / root
        step = step / ops.maximum(1.0, _rms(step) / self.clip_threshold)
        rate = ops.minimum(ops.cast(learning_rate, variable.dtype), t**-0.5)
        scale = ops.maximum(self.epsilon_2, _rms(variable)) * rate
        self.assign_sub(variable, ops.cast(scale, variable.dtype) * step)

    def native_form(self) -> NativeForm | None:
        """``adafactor(beta_2_decay, epsilon_1, epsilon_2, clip_threshold)``, of up to two axes."""
        if any(v.ndim > 2 or v.overwrite_with_gradient for v in self._dk_index):
            return None
        numbers = (self.beta_2_decay, self.epsilon_1, self.epsilon_2, self.clip_threshold)
        return NativeForm("adafactor", tuple(float(n) for n in numbers))

    def native_slots(self, variable: Variable) -> list[Variable]:
        """The mean square; of kernels also that of rows and of columns."""
        i = self._dk_index[variable]
        slots = [
            self._velocities[i],
            *([self._dk_rows[i], self._dk_columns[i]] if variable.ndim > 1 else []),
        ]
        return [slot for slot in slots if slot is not None]

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "beta_2_decay": self.beta_2_decay,
            "epsilon_1": self.epsilon_1,
            "epsilon_2": self.epsilon_2,
            "clip_threshold": self.clip_threshold,
            "relative_step": self.relative_step,
        }


def _rms(x: Variable | TensorLike) -> TensorLike:
    return ops.sqrt(ops.mean(ops.square(x)))
