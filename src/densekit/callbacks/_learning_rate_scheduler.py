"""`LearningRateScheduler`: a learning rate for each epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from densekit._core.console import write
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit.callbacks._callback import Callback, Logs
from densekit.callbacks._rates import rate_of, rated, rates

if TYPE_CHECKING:
    from densekit.optimizers import Optimizer


@export("keras.callbacks")
class LearningRateScheduler(Callback):
    """Sets the optimizer's learning rate at the start of every epoch.

    Args:
        schedule: ``(epoch, learning_rate) -> learning_rate``; epochs count from 0.
        verbose: 1 says what it sets. Default: ``0``.

    Raises:
        ValueError: if `schedule` returns no float.

    Example:

    >>> import densekit as keras, numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.5), "mse")
    >>> halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    >>> x = np.ones((4, 2))
    >>> model.fit(x, x[:, 0], epochs=2, verbose=0, callbacks=[halve]).history["learning_rate"]
    [0.25, 0.125]
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        for name, optimizer in rated(self.model.optimizer).items():
            self._dk_set_rate(epoch, optimizer, "" if name == "learning_rate" else optimizer.name)

    def _dk_set_rate(self, epoch: int, optimizer: Optimizer, name: str) -> None:
        if not hasattr(optimizer, "learning_rate"):
            raise ValueError('Optimizer must have a "learning_rate" attribute.')
        try:
            rate = self.schedule(epoch, rate_of(optimizer))
        except TypeError:  # a schedule of the epoch alone
            rate = self.schedule(epoch)
        if not isinstance(rate, float | np.float32 | np.float64):
            raise ValueError(
                message(
                    "LearningRateScheduler",
                    "a float from `schedule`",
                    describe(rate),
                    "Return a float.",
                )
            )
        optimizer.learning_rate = rate
        if self.verbose > 0:
            whose = f"{name} learning rate" if name else "learning rate"
            write(f"\nEpoch {epoch + 1}: LearningRateScheduler setting {whose} to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if logs is not None:
            logs.update(rates(self.model.optimizer))
