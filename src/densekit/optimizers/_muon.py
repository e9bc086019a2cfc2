"""Muon: steps along the nearest orthogonal matrix."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Unpack

from densekit import ops
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit._core.variable import Variable
from densekit.optimizers._optimizer import Optimizer
from densekit.optimizers._options import OtherOptions, optional


@export("keras.optimizers")
class Muon(Optimizer):
    """Makes the momentum of a matrix orthogonal before it steps; other weights take Adam's step.

    For a kernel of shape ``(I, O)``: ``m <- momentum * m + g``; ``u = g + momentum * m`` with
    `nesterov`, else ``m``; ``x = u / ||u||``; `ns_steps` times ``s = x x^T``,
    ``x <- muon_a * x + (muon_b * s + muon_c * s s) x``;
    ``w <- w - learning_rate * sqrt(max(I, O)) * rms_rate * x``. Weights that are no matrices, those
    with "embedding" in their path and those of `exclude_layers` are updated as by `AdamW`.

    Args:
        learning_rate: as in `Optimizer`. Default: ``0.001``.
        adam_beta_1: as `beta_1` in `Adam`, of the other weights. Default: ``0.9``.
        adam_beta_2: as `beta_2` in `Adam`, of the other weights. Default: ``0.999``.
        adam_weight_decay: as `weight_decay`, of the other weights. Default: ``0.004``.
        epsilon: as in `Adam`, of the other weights. Default: ``1e-7``.
        weight_decay: share of each matrix, times the learning rate, that a step takes away.
            Default: ``0.004``.
        exclude_layers: regular expressions; a weight in whose path one is found takes Adam's step.
            Default: none.
        exclude_embeddings: whether embeddings take Adam's step. Default: ``True``.
        muon_a: factor of ``x``. Default: ``3.4445``.
        muon_b: factor of ``s``. Default: ``-4.775``.
        muon_c: factor of ``s s``. Default: ``2.0315``.
        adam_lr_ratio: factor on the learning rate of Adam's steps. Default: ``1``.
        momentum: share of the old momentum that is kept. Default: ``0.95``.
        ns_steps: how often ``x`` is made more orthogonal. Default: ``5``.
        nesterov: whether to look ahead along the momentum. Default: ``True``.
        rms_rate: factor on the step, and on the root of the longer side. None: neither. Default:
            ``0.2``.
        **options: the other common options of `Optimizer`.

    Raises:
        ValueError: as `Optimizer`.

    Example: the singular values of a step are near 1, whatever those of the gradient.

    >>> import densekit as keras
    >>> import numpy as np
    >>> w = keras.Variable(np.zeros((2, 2)))
    >>> optimizer = keras.optimizers.Muon(learning_rate=1.0, rms_rate=None)
    >>> optimizer.apply([np.diag([100.0, 1.0])], [w])
    >>> bool((np.linalg.svd(w.numpy())[1] > 0.3).all())
    True

    Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; Liu et al.,
    "Muon is scalable for LLM training", 2025, equation 4."""

    def __init__(
        self,
        learning_rate: object = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        *,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.7750,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **options: Unpack[OtherOptions],
    ) -> None:
        super().__init__(learning_rate, weight_decay, **options)
        self.adam_beta_1 = adam_beta_1
        self.adam_beta_2 = adam_beta_2
        self.epsilon = epsilon
        self.muon_a = muon_a
        self.muon_b = muon_b
        self.muon_c = muon_c
        self.adam_lr_ratio = adam_lr_ratio
        self.momentum = momentum
        self.ns_steps = ns_steps
        self.nesterov = nesterov
        self.exclude_embeddings = exclude_embeddings
        self.exclude_layers = exclude_layers or []
        self.adam_weight_decay = optional("Muon", "adam_weight_decay", adam_weight_decay)
        self.rms_rate = rms_rate
        self._momentums: list[Variable | None] = []
        self._velocities: list[Variable | None] = []

    def _dk_takes_adam(self, variable: Variable) -> bool:
        if variable.ndim != 2:
            return True
        if self.exclude_embeddings and "embedding" in variable.path.lower():
            return True
        return any(re.search(pattern, variable.path) for pattern in self.exclude_layers)

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the momenta, and the mean squares of what takes Adam's step."""
        if self.built:
            return
        super().build(variables)
        for variable in variables:
            owned = not variable.overwrite_with_gradient
            adam = owned and self._dk_takes_adam(variable)
            for slots, name, needed in (
                (self._momentums, "momentum", owned),
                (self._velocities, "velocity", adam),
            ):
                slot = self.add_variable_from_reference(variable, name) if needed else None
                slots.append(slot)

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: ArrayLike
    ) -> None:
        """Change `variable` by one gradient."""
        i = self._dk_index[variable]
        m = self._momentums[i]
        assert m is not None
        v = self._velocities[i]
        rate = ops.cast(learning_rate, variable.dtype)
        if v is not None:
            t = self._dk_step_number(variable.dtype)
            correction = (1 - self.adam_beta_2**t) ** 0.5 / (1 - self.adam_beta_1**t)
            self.assign_add(m, (gradient - m) * (1 - self.adam_beta_1))
            self.assign_add(v, (ops.square(gradient) - v) * (1 - self.adam_beta_2))
            alpha = rate * self.adam_lr_ratio * correction
            self.assign_sub(variable, alpha * m / (ops.sqrt(v) + self.epsilon))
            return
        self.assign(m, self.momentum * m + gradient)
        direction = gradient + self.momentum * m if self.nesterov else m.value
        self.assign_sub(variable, rate * self._dk_scale(variable) * self._dk_orthogonal(direction))

    def _dk_scale(self, variable: Variable) -> float:
        """What makes steps as long as Adam's."""
        return 1.0 if self.rms_rate is None else math.sqrt(max(variable.shape)) * self.rms_rate

    def _dk_orthogonal(self, x: TensorLike) -> TensorLike:
        """Newton and Schulz' iteration on the shorter side."""
        tall = x.shape[0] > x.shape[1]
        x = ops.transpose(x) if tall else x
        x = x / (ops.sqrt(ops.sum(ops.square(x))) + 1e-7)
        for _ in range(self.ns_steps):
            s = ops.matmul(x, ops.transpose(x))
            polynomial = self.muon_b * s + self.muon_c * ops.matmul(s, s)
            x = self.muon_a * x + ops.matmul(polynomial, x)
        return ops.transpose(x) if tall else x

    def weight_decay_of(self, variable: Variable) -> float:
        """That of matrices, or that of Adam."""
        decay = self.adam_weight_decay if self._dk_takes_adam(variable) else self.weight_decay
        return decay if decay is not None and self._use_weight_decay(variable) else 0.0

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "adam_beta_1": self.adam_beta_1,
            "adam_beta_2": self.adam_beta_2,
            "epsilon": self.epsilon,
            "exclude_layers": self.exclude_layers,
            "muon_a": self.muon_a,
            "muon_b": self.muon_b,
            "muon_c": self.muon_c,
            "adam_lr_ratio": self.adam_lr_ratio,
            "momentum": self.momentum,
            "ns_steps": self.ns_steps,
            "nesterov": self.nesterov,
            "exclude_embeddings": self.exclude_embeddings,
            "adam_weight_decay": self.adam_weight_decay,
            "rms_rate": self.rms_rate,
        }

    def native_form(self) -> NativeForm | None:
        """``muon(adam_beta_1, adam_beta_2, epsilon, adam_lr_ratio, momentum, ...)``."""
        if any(v.overwrite_with_gradient for v in self._dk_index):
            return None
        numbers = (
            *(self.adam_beta_1, self.adam_beta_2, self.epsilon, self.adam_lr_ratio),
            *(self.momentum, self.nesterov, self.ns_steps),
            *(self.muon_a, self.muon_b, self.muon_c),
            -1.0 if self.rms_rate is None else self.rms_rate,
            self.adam_weight_decay or 0.0,
        )
        return NativeForm("muon", tuple(float(n) for n in numbers))

    def native_slots(self, variable: Variable) -> list[Variable]:
        """``[momentum]`` of matrices, ``[momentum, velocity]`` of what takes Adam's step."""
        i = self._dk_index[variable]
        return [v for v in (self._momentums[i], self._velocities[i]) if v is not None]
