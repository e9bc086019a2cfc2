"""Decay by a constant factor."""

from __future__ import annotations

from densekit._core.registry import export
from densekit._core.types import ArrayLike, TensorLike
from densekit.optimizers.schedules._period_decay import PeriodDecay
from densekit.optimizers.schedules._schedule import rate


@export("keras.optimizers.schedules")
class ExponentialDecay(PeriodDecay):
    """The rate falls by the same factor every `decay_steps` steps.

    ``rate(t) = initial_learning_rate * decay_rate ** (t / decay_steps)``; with `staircase` the
    exponent is rounded down.

    Args:
        initial_learning_rate: rate at step 0.
        decay_steps: number of steps of one factor, > 0.
        decay_rate: the factor.
        staircase: whether the rate is constant between multiples of `decay_steps`. Default:
            ``False``.
        name: name in the config. Default: ``"ExponentialDecay"``.

    Raises:
        ValueError: unless ``decay_steps > 0``.

    Example:

    >>> import densekit as keras
    >>> schedule = keras.optimizers.schedules.ExponentialDecay(1.0, decay_steps=10, decay_rate=0.5)
    >>> [float(schedule(t)) for t in (0, 10, 20)]
    [1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def __call__(self, step: ArrayLike) -> TensorLike:
        return rate(self.initial_learning_rate * float(self.decay_rate) ** self._dk_periods(step))
