"""Decay along a power of the time left."""

from __future__ import annotations

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
class PolynomialDecay(LearningRateSchedule):
    """The rate falls to `end_learning_rate` along a power of the time left, and stays there.

    ``rate(t) = (initial - end) * (1 - t / decay_steps) ** power + end`` for ``t <= decay_steps``.
    With `cycle` the decay starts anew over a longer run each time it has ended: `decay_steps` is
    replaced by the smallest multiple of it that is not below ``t``.

    Args:
        initial_learning_rate: rate at step 0.
        decay_steps: number of steps of the decay, > 0.
        end_learning_rate: rate at its end. Default: ``0.0001``.
        power: exponent; 1 is a straight line. Default: ``1.0``.
        cycle: whether to start anew at the end. Default: ``False``.
        name: name in the config. Default: ``"PolynomialDecay"``.

    Raises:
        ValueError: unless ``decay_steps > 0``.

    Example:

    >>> import densekit as keras
    >>> schedule = keras.optimizers.schedules.PolynomialDecay(1.0, 10, end_learning_rate=0.0)
    >>> [float(schedule(t)) for t in (0, 5, 10, 20)]
    [1.0, 0.5, 0.0, 0.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        check_positive("PolynomialDecay", "decay_steps", decay_steps)
        self.initial_learning_rate = plain(initial_learning_rate)
        self.decay_steps = plain(decay_steps)
        self.end_learning_rate = plain(end_learning_rate)
        self.power = plain(power)
        self.cycle = cycle
        self.name = name

    def __call__(self, step: ArrayLike) -> TensorLike:
        t = real(step)
        if self.cycle:
            fraction = t / (self.decay_steps * ops.maximum(1.0, ops.ceil(t / self.decay_steps)))
        else:
            fraction = ops.minimum(t, self.decay_steps) / self.decay_steps
        span = self.initial_learning_rate - self.end_learning_rate
        return rate(span * (1.0 - fraction) ** self.power + self.end_learning_rate)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
            "cycle": self.cycle,
            "name": self.name,
        }
