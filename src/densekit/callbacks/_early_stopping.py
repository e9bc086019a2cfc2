"""`EarlyStopping`: stop when nothing gets better any more."""

from __future__ import annotations

from densekit._core.console import write
from densekit._core.frames import warn
from densekit._core.registry import export
from densekit._core.types import Array
from densekit.callbacks._callback import Logs
from densekit.callbacks._monitor_callback import MonitorCallback


@export("keras.callbacks")
class EarlyStopping(MonitorCallback):
    """Stops training once the monitored value has not improved for `patience` epochs.

    Args:
        monitor: key of the logs. Default: ``"val_loss"``.
        min_delta: least change that counts as improvement. Default: ``0``.
        patience: epochs without improvement that are waited for. Default: ``0``.
        verbose: 1 says when it stops. Default: ``0``.
        mode: ``"min"``, ``"max"`` or ``"auto"``. Default: ``"auto"``.
        baseline: value that an improvement must also beat to reset the wait. Default: ``None``.
        restore_best_weights: set the weights of the best epoch at the end. Default: ``False``.
        start_from_epoch: epochs to let pass before watching. Default: ``0``.

    Example:

    >>> import densekit as keras, numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.0), "mse")
    >>> stop = keras.callbacks.EarlyStopping(monitor="loss", patience=2)
    >>> x = np.ones((4, 2))
    >>> len(model.fit(x, x[:, 0], epochs=9, verbose=0, callbacks=[stop]).epoch)
    3
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.wait = 0
        self.stopped_epoch = 0
        self.best_epoch = 0
        self.best_weights: list[Array] | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_weights = None
        self.best_epoch = 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.monitor_op is None:
            self._set_monitor_op()
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._dk_remember(epoch)  # the first epoch is best if none improves, e.g. all are NaN
        self.wait += 1
        if self._is_improvement(current, self.best):
            self.best = current
            self.best_epoch = epoch
            if self.restore_best_weights:
                self._dk_remember(epoch)
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _dk_remember(self, epoch: int) -> None:
        self.best_weights = self.model.get_weights()
        self.best_epoch = epoch

    def on_train_end(self, logs: Logs = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            write(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                best = self.best_epoch + 1
                write(f"Restoring model weights from the end of the best epoch: {best}.")
            self.model.set_weights(self.best_weights)

    def get_monitor_value(self, logs: Logs) -> float | None:
        """The monitored value, or None with a warning if the logs do not have it."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            warn(
                f"Early stopping conditioned on metric `{self.monitor}` which is not available. "
                f"Available metrics are: {','.join(logs or {})}"
            )
        return value
