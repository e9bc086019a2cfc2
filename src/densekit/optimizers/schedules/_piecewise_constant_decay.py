"""Steps between constant rates."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from densekit import ops
from densekit._core.errors import message
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit.optimizers.schedules._schedule import LearningRateSchedule, plain, rate, real


@export("keras.optimizers.schedules")
class PiecewiseConstantDecay(LearningRateSchedule):
    """The rate is constant between boundaries; a boundary itself still has the earlier rate.

    ``rate(t) = values[0]`` for ``t <= boundaries[0]``, ``values[i]`` for
    ``boundaries[i - 1] < t <= boundaries[i]``, ``values[-1]`` after the last boundary.

    Args:
        boundaries: step numbers in increasing order.
        values: rates, one more than boundaries.
        name: name in the config. Default: ``"PiecewiseConstant"``.

    Raises:
        ValueError: if the lengths do not fit or the boundaries do not increase.

    Example:

    >>> import densekit as keras
    >>> schedule = keras.optimizers.schedules.PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.25])
    >>> [float(schedule(t)) for t in (0, 10, 11, 21)]
    [1.0, 1.0, 0.5, 0.25]
    """

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"
    ) -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                message(
                    "PiecewiseConstantDecay",
                    "one more value than boundaries",
                    f"{len(boundaries)} boundaries and {len(values)} values",
                    "Pass the rate before the first boundary too.",
                )
            )
        if any(a >= b for a, b in itertools.pairwise(boundaries)):
            raise ValueError(
                message(
                    "PiecewiseConstantDecay",
                    "boundaries in increasing order",
                    f"{list(boundaries)}",
                    "Sort them, together with their values.",
                )
            )
        self.boundaries = [plain(b) for b in boundaries]
        self.values = [plain(v) for v in values]
        self.name = name

    def __call__(self, step: ArrayLike) -> TensorLike:
        t = real(step)
        value = self.values[0] + ops.zeros_like(t)
        for boundary, later in zip(self.boundaries, self.values[1:], strict=True):
            value = ops.where(t > boundary, later, value)
        return rate(value)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {"boundaries": self.boundaries, "values": self.values, "name": self.name}
