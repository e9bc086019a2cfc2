"""The learning rates that callbacks show and set: one, or those inside a `MultiOptimizer`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from densekit.optimizers import Optimizer


def rated(optimizer: Optimizer) -> dict[str, Optimizer]:
    """The optimizers that have a learning rate, by the name of that in the logs."""
    several = getattr(optimizer, "optimizers", None)
    if several is None:
        return {"learning_rate": optimizer}
    return {f"learning_rate_{one.name}": one for one in several}


def rate_of(optimizer: Optimizer) -> float:
    """The present learning rate as a number."""
    return float(np.asarray(optimizer.learning_rate))


def rates(optimizer: Optimizer) -> dict[str, float]:
    """What logs say of the learning rates."""
    return {name: rate_of(one) for name, one in rated(optimizer).items()}
