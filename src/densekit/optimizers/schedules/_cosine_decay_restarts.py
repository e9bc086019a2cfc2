"""Cosine decays one after the other."""

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
class CosineDecayRestarts(LearningRateSchedule):
    """The rate falls along half a cosine again and again, over runs that grow.

    Run ``i`` takes ``first_decay_steps * t_mul ** i`` steps; with ``f`` the part of it that is
    over, ``rate = initial_learning_rate * ((1 - alpha) * m_mul ** i * (1 + cos(pi * f)) / 2 +
    alpha)``.

    Args:
        initial_learning_rate: rate at step 0.
        first_decay_steps: number of steps of the first run, > 0.
        t_mul: how much longer each run is than the one before. Default: ``2.0``.
        m_mul: factor on the top rate of each run against the one before. Default: ``1.0``.
        alpha: share of the initial rate that is left at the end of a run. Default: ``0.0``.
        name: name in the config. Default: ``"SGDRDecay"``.

    Raises:
        ValueError: unless ``first_decay_steps > 0``.

    Example:

    >>> import densekit as keras
    >>> schedule = keras.optimizers.schedules.CosineDecayRestarts(1.0, first_decay_steps=10)
    >>> [float(schedule(t)) for t in (0, 5, 10, 20, 30)]
    [1.0, 0.5, 1.0, 0.5, 1.0]

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2016, equation 5.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        check_positive("CosineDecayRestarts", "first_decay_steps", first_decay_steps)
        self.initial_learning_rate = plain(initial_learning_rate)
        self.first_decay_steps = plain(first_decay_steps)
        self._t_mul = plain(t_mul)
        self._m_mul = plain(m_mul)
        self.alpha = plain(alpha)
        self.name = name

    def _dk_start(self, run: TensorLike) -> TensorLike:
        """When a run starts, in units of the first: ``1 + t_mul + ... + t_mul ** (run - 1)``."""
        start: TensorLike = (1.0 - self._t_mul**run) / (1.0 - self._t_mul)
        return start

    def _dk_run(self, time: TensorLike) -> tuple[TensorLike, TensorLike]:
        """Number of the run that `time` falls in, and the part of that run that is over."""
        if self._t_mul == 1:
            run = ops.floor(time)
            return run, time - run
        run = ops.floor(ops.log(1.0 - time * (1.0 - self._t_mul)) / math.log(self._t_mul))
        # The quotient of logarithms may be a rounding below the whole number of an exact restart.
        run = run + ops.cast(self._dk_start(run + 1.0) <= time, run.dtype)
        return run, (time - self._dk_start(run)) / self._t_mul**run

    def __call__(self, step: ArrayLike) -> TensorLike:
        run, fraction = self._dk_run(real(step) / self.first_decay_steps)
        wave = 0.5 * float(self._m_mul) ** run * (1.0 + ops.cos(math.pi * fraction))
        return rate(self.initial_learning_rate * ((1 - self.alpha) * wave + self.alpha))

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "first_decay_steps": self.first_decay_steps,
            "t_mul": self._t_mul,
            "m_mul": self._m_mul,
            "alpha": self.alpha,
            "name": self.name,
        }
