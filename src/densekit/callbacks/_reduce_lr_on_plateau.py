"""`ReduceLROnPlateau`: smaller steps once progress stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from densekit._core.console import write
from densekit._core.errors import message
from densekit._core.frames import warn
from densekit._core.registry import export
from densekit.callbacks._callback import Logs
from densekit.callbacks._monitor_callback import MonitorCallback
from densekit.callbacks._rates import rate_of, rated, rates

if TYPE_CHECKING:
    from densekit.optimizers import Optimizer


@export("keras.callbacks")
class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by `factor` when the monitored value stops improving.

    Args:
        monitor: key of the logs. Default: ``"val_loss"``.
        factor: ``new = old * factor``, below 1. Default: ``0.1``.
        patience: epochs without improvement that are waited for. Default: ``10``.
        verbose: 1 says what it sets. Default: ``0``.
        mode: ``"min"``, ``"max"`` or ``"auto"``. Default: ``"auto"``.
        min_delta: least change that counts as improvement. Default: ``0.0001``.
        cooldown: epochs to wait after a reduction. Default: ``0``.
        min_lr: lower bound of the learning rate. Default: ``0.0``.

    Raises:
        ValueError: if ``factor >= 1``.

    Example:

    >>> import densekit as keras, numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.5), "mse")
    >>> reduce = keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=1, min_delta=1e9)
    >>> x = np.ones((4, 2))
    >>> rates = model.fit(x, x[:, 0], epochs=3, verbose=0, callbacks=[reduce]).history
    >>> [round(rate, 3) for rate in rates["learning_rate"]]
    [0.5, 0.5, 0.05]
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 0.0001,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: object,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        if factor >= 1.0:
            raise ValueError(
                message("ReduceLROnPlateau", "factor < 1.0", f"{factor}", "Pass e.g. factor=0.1.")
            )
        self.factor = factor
        self.min_lr = min_lr
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.cooldown_counter = 0
        self.wait = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        self.best = None
        self.cooldown_counter = 0
        self.wait = 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.monitor_op is None:
            self._set_monitor_op()
        logs = {} if logs is None else logs
        logs.update(rates(self.model.optimizer))
        current = logs.get(self.monitor)
        if current is None:
            warn(
                "Learning rate reduction is conditioned on metric "
                f"`{self.monitor}` which is not available. "
                f"Available metrics are: {','.join(logs)}."
            )
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                optimizers = rated(self.model.optimizer).values()
                if any([self._dk_reduce(epoch, optimizer) for optimizer in optimizers]):
                    self.cooldown_counter = self.cooldown
                    self.wait = 0

    def _dk_reduce(self, epoch: int, optimizer: Optimizer) -> bool:
        """Lower a learning rate; False if it is at its bound."""
        old = rate_of(optimizer)
        if old <= np.float32(self.min_lr):
            return False
        new = max(old * self.factor, self.min_lr)
        optimizer.learning_rate = new
        if self.verbose > 0:
            several = optimizer is not self.model.optimizer
            whose = f"{optimizer.name} learning rate" if several else "learning rate"
            write(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing {whose} to {new}.")
        return True

    def in_cooldown(self) -> bool:
        """Whether a reduction is so recent that no other may follow yet."""
        return self.cooldown_counter > 0
