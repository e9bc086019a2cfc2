"""Decay along half a cosine, after an optional warm-up."""

from __future__ import annotations

import math

from densekit import ops
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit.optimizers.schedules._schedule import (
    LearningRateSchedule,
    check_positive,
    plain,
    rate,
    real,
)


@export("keras.optimizers.schedules")
class CosineDecay(LearningRateSchedule):
    """The rate rises on a line to `warmup_target`, falls along half a cosine, and stays.

    Warm-up, for ``t < warmup_steps``: ``initial + (warmup_target - initial) * t / warmup_steps``.
    Then, with ``s = min(t - warmup_steps, decay_steps)`` and ``top`` the target (the initial rate
    without one): ``top * ((1 - alpha) * (1 + cos(pi * s / decay_steps)) / 2 + alpha)``.

    Args:
        initial_learning_rate: rate at step 0.
        decay_steps: number of steps of the decay, without the warm-up, > 0.
        alpha: share of the top rate that is left at the end. Default: ``0.0``.
        name: name in the config. Default: ``"CosineDecay"``.
        warmup_target: rate at the end of the warm-up. Default: ``None``, no warm-up.
        warmup_steps: number of steps of the warm-up. Default: ``0``.

    Raises:
        ValueError: unless ``decay_steps > 0``.

    Example:

    >>> import densekit as keras
    >>> schedule = keras.optimizers.schedules.CosineDecay(
    ...     0.0, decay_steps=100, warmup_target=1.0, warmup_steps=10)
    >>> [float(schedule(t)) for t in (0, 5, 10, 60, 110)]
    [0.0, 0.5, 1.0, 0.5, 0.0]

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2016, equation 5.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        check_positive("CosineDecay", "decay_steps", decay_steps)
        self.initial_learning_rate = plain(initial_learning_rate)
        self.decay_steps = plain(decay_steps)
        self.alpha = plain(alpha)
        self.name = name
        self.warmup_target = plain(warmup_target)
        self.warmup_steps = plain(warmup_steps)

    def _dk_decay(self, top: float, t: TensorLike) -> TensorLike:
        fraction = ops.minimum(t, self.decay_steps) / self.decay_steps
        return top * ((1 - self.alpha) * 0.5 * (1.0 + ops.cos(math.pi * fraction)) + self.alpha)

    def __call__(self, step: ArrayLike) -> TensorLike:
        t = real(step)
        if self.warmup_target is None:
            return rate(self._dk_decay(self.initial_learning_rate, t))
        # No warm-up step leaves the slope undefined, and unused.
        slope = (self.warmup_target - self.initial_learning_rate) / (self.warmup_steps or 1)
        return rate(
            ops.where(
                t < self.warmup_steps,
                self.initial_learning_rate + slope * t,
                self._dk_decay(self.warmup_target, t - self.warmup_steps),
            )
        )

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "name": self.name,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
        }
