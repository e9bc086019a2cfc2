"""Learning rates of users' own, asked once a step where a step is made more than once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import numpy as np

from densekit._core.registry import public_name
from densekit._core.types import ArrayLike
from densekit._core.variable import Variable
from densekit.optimizers.schedules._schedule import LearningRateSchedule

if TYPE_CHECKING:
    from densekit.optimizers._optimizer import Optimizer


class _AskedOnce(LearningRateSchedule):
    """A user's schedule, or callable rate, that is asked once for each step."""

    def __init__(self, rate: Callable[..., ArrayLike]) -> None:
        self._rate = rate
        self._known: dict[int, ArrayLike] = {}

    def __call__(self, step: ArrayLike) -> ArrayLike:
        at = int(np.asarray(step))
        if at not in self._known:
            takes_step = isinstance(self._rate, LearningRateSchedule)
            self._known[at] = self._rate(step) if takes_step else self._rate()
        return self._known[at]


@contextmanager
def rates_asked_once(optimizer: Optimizer) -> Iterator[None]:
    """Inside, users' own learning rates are asked once a step, however often a step is made."""
    own: list[tuple[Optimizer, Callable[..., ArrayLike]]] = []
    for part in optimizer.native_parts:
        rate = part._learning_rate
        if not isinstance(rate, Variable) and public_name(type(rate)) is None:
            asked = cast("Callable[..., ArrayLike]", rate)
            own.append((part, asked))
            part._learning_rate = _AskedOnce(asked)
    try:
        yield
    finally:
        for part, rate in own:
            part._learning_rate = rate
