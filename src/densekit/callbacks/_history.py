"""`History`: the record that `fit` returns."""

from __future__ import annotations

from densekit._core.registry import export
from densekit.callbacks._callback import Callback, Logs


@export("keras.callbacks")
class History(Callback):
    """Keeps the logs of every epoch; `fit` adds one and returns it.

    ``history`` maps each key of the logs to a list with one value per epoch, ``epoch`` lists the
    epochs, ``params`` what the run was asked for.

    Example:

    >>> import densekit as keras, numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.ones((4, 2)), np.ones(4), epochs=2, verbose=0)
    >>> history.epoch, list(history.history), len(history.history["loss"])
    ([0, 1], ['loss'], 2)
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self.epoch.append(epoch)
        for key, value in (logs or {}).items():
            self.history.setdefault(key, []).append(value)
        self.model.history = self
