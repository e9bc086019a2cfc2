"""`LearningRateScheduler`: a learning rate for each epoch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from densekit._core.console import write
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit.callbacks._callback import Callback, Logs


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
        optimizer = self.model.optimizer
        if not hasattr(optimizer, "learning_rate"):
            raise ValueError('Optimizer must have a "learning_rate" attribute.')
        try:
            rate = self.schedule(epoch, float(np.asarray(optimizer.learning_rate)))
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
            write(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(np.asarray(self.model.optimizer.learning_rate))
