"""Learning rates that change with the step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.optimizers.schedules._cosine_decay import CosineDecay as CosineDecay
    from densekit.optimizers.schedules._cosine_decay_restarts import (
        CosineDecayRestarts as CosineDecayRestarts,
    )
    from densekit.optimizers.schedules._exponential_decay import (
        ExponentialDecay as ExponentialDecay,
    )
    from densekit.optimizers.schedules._inverse_time_decay import (
        InverseTimeDecay as InverseTimeDecay,
    )
    from densekit.optimizers.schedules._lookup import deserialize as deserialize
    from densekit.optimizers.schedules._lookup import serialize as serialize
    from densekit.optimizers.schedules._piecewise_constant_decay import (
        PiecewiseConstantDecay as PiecewiseConstantDecay,
    )
    from densekit.optimizers.schedules._polynomial_decay import PolynomialDecay as PolynomialDecay
    from densekit.optimizers.schedules._schedule import LearningRateSchedule as LearningRateSchedule
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "_cosine_decay": "CosineDecay",
            "_cosine_decay_restarts": "CosineDecayRestarts",
            "_exponential_decay": "ExponentialDecay",
            "_lookup": "deserialize serialize",
            "_inverse_time_decay": "InverseTimeDecay",
            "_piecewise_constant_decay": "PiecewiseConstantDecay",
            "_polynomial_decay": "PolynomialDecay",
            "_schedule": "LearningRateSchedule",
        },
    )
