"""Decay as one over time."""

from __future__ import annotations

from densekit._core.registry import export
from densekit._core.types import ArrayLike, TensorLike
from densekit.optimizers.schedules._period_decay import PeriodDecay
from densekit.optimizers.schedules._schedule import rate


@export("keras.optimizers.schedules")
class InverseTimeDecay(PeriodDecay):
    """The rate falls as one over the number of steps.

    ``rate(t) = initial_learning_rate / (1 + decay_rate * t / decay_steps)``; with `staircase` the
    quotient ``t / decay_steps`` is rounded down.

    Args:
        initial_learning_rate: rate at step 0.
        decay_steps: unit of time in steps, > 0.
        decay_rate: how much the divisor grows in one unit of time.
        staircase: whether the rate is constant between multiples of `decay_steps`. Default:
            ``False``.
        name: name in the config. Default: ``"InverseTimeDecay"``.

    Raises:
        ValueError: unless ``decay_steps > 0``.

    Example:

    >>> import densekit as keras
    >>> schedule = keras.optimizers.schedules.InverseTimeDecay(1.0, decay_steps=10, decay_rate=1.0)
    >>> [float(schedule(t)) for t in (0, 10, 30)]
    [1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def __call__(self, step: ArrayLike) -> TensorLike:
        return rate(self.initial_learning_rate / (1.0 + self.decay_rate * self._dk_periods(step)))
