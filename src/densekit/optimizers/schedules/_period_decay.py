"""What the decays that count periods of steps share."""

from __future__ import annotations

from densekit import ops
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit.optimizers.schedules._schedule import (
    LearningRateSchedule,
    check_positive,
    plain,
    real,
)


class PeriodDecay(LearningRateSchedule):
    """Abstract: a rate that depends on ``t / decay_steps``, with `staircase` rounded down."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool,
        name: str,
    ) -> None:
        check_positive(type(self).__name__, "decay_steps", decay_steps)
        self.initial_learning_rate = plain(initial_learning_rate)
        self.decay_steps = plain(decay_steps)
        self.decay_rate = plain(decay_rate)
        self.staircase = staircase
        self.name = name

    def _dk_periods(self, step: ArrayLike) -> TensorLike:
        periods = real(step) / self.decay_steps
        return ops.floor(periods) if self.staircase else periods

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }
