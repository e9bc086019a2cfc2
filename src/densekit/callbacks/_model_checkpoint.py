"""`ModelCheckpoint`: the model, or its weights, saved while training."""

from __future__ import annotations

import os

import numpy as np

from densekit._core import types
from densekit._core.console import write
from densekit._core.errors import message
from densekit._core.frames import warn
from densekit._core.registry import export
from densekit.callbacks._callback import Logs, only_batches_if
from densekit.callbacks._monitor_callback import MonitorCallback
from densekit.callbacks._save_frequency import BatchesSinceSave, check_save_freq


@export("keras.callbacks")
class ModelCheckpoint(MonitorCallback):
    """Saves the model after epochs, or after every so many batches.

    Args:
        filepath: path ending in ``.keras`` or ``.h5``, or in ``.weights.h5`` for weights only; it
            may hold fields such as ``{epoch:02d}`` and ``{val_loss:.2f}``.
        monitor: key of the logs. Default: ``"val_loss"``.
        verbose: 1 says what it does. Default: ``0``.
        save_best_only: keep the file of the best value. Default: ``False``.
        save_weights_only: save weights instead of the model. Default: ``False``.
        mode: ``"min"``, ``"max"`` or ``"auto"``. Default: ``"auto"``.
        save_freq: ``"epoch"`` or a number of batches >= 1. Default: ``"epoch"``.
        initial_value_threshold: value that the first save must beat. Default: ``None``.

    Raises:
        ValueError: for a path with another ending, or an unknown `save_freq`.

    Example:

    >>> import densekit as keras, numpy as np, os, tempfile
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> folder = tempfile.mkdtemp()
    >>> save = keras.callbacks.ModelCheckpoint(
    ...     os.path.join(folder, "{epoch}.weights.h5"), monitor="loss", save_weights_only=True
    ... )
    >>> history = model.fit(np.ones((4, 2)), np.ones(4), epochs=2, verbose=0, callbacks=[save])
    >>> sorted(os.listdir(folder))
    ['1.weights.h5', '2.weights.h5']
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        self.verbose = verbose
        self.filepath = os.fspath(filepath)
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self._current_epoch = 0
        check_save_freq("ModelCheckpoint", save_freq)
        self._dk_since_save = BatchesSinceSave()
        endings = (".weights.h5",) if save_weights_only else (".keras", ".h5")
        if not self.filepath.endswith(endings):
            raise ValueError(
                message(
                    f"ModelCheckpoint with save_weights_only={save_weights_only}",
                    f"a `filepath` ending in {' or '.join(endings)}",
                    f"filepath={self.filepath}",
                    "Rename the file.",
                )
            )

    @only_batches_if(lambda callback: callback.save_freq != "epoch")
    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._dk_since_save.add(batch)
        if self._dk_since_save.reach(self.save_freq):
            self._dk_save(self._current_epoch, batch, logs)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._current_epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.monitor_op is None and self.save_best_only:
            self._set_monitor_op()
        if self.save_freq == "epoch":
            self._dk_save(epoch, None, logs)

    def _dk_save(self, epoch: int, batch: int | None, logs: Logs) -> None:
        logs = logs or {}
        path = self._dk_path(epoch, batch, logs)
        if not self._dk_should_save(epoch, logs, path):
            return
        if os.path.isdir(path):
            raise OSError(
                message(
                    "ModelCheckpoint", "a path to a file", f"the directory {path}", "Name a file."
                )
            )
        folder = os.path.dirname(path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)
        if self.verbose > 0:
            write(f"\nEpoch {epoch + 1}: finished saving model to {path}")

    def _dk_should_save(self, epoch: int, logs: types.Logs, path: str) -> bool:
        if not self.save_best_only:
            if self.verbose > 0:
                write(f"\nEpoch {epoch + 1}: saving model to {path}")
            return True
        current = logs.get(self.monitor)
        if current is None or np.ndim(current) > 0:
            warn(
                f"Can save best model only with {self.monitor} available as a number; "
                "saving this one."
            )
            return True
        if self.monitor_op is None:
            self._set_monitor_op()
        best = "None" if self.best is None else f"{self.best:.5f}"
        if self._is_improvement(current, self.best):
            if self.verbose > 0:
                write(
                    f"\nEpoch {epoch + 1}: {self.monitor} improved from {best} to {current:.5f}, "
                    f"saving model to {path}"
                )
            self.best = current
            return True
        if self.verbose > 0:
            write(f"\nEpoch {epoch + 1}: {self.monitor} did not improve from {best}")
        return False

    def _dk_path(self, epoch: int, batch: int | None, logs: types.Logs) -> str:
        fields = dict(logs)
        if batch is not None:
            fields.setdefault("batch", batch + 1)
        try:
            return self.filepath.format(epoch=epoch + 1, **fields)
        except KeyError as error:
            raise KeyError(
                message(
                    "ModelCheckpoint",
                    f"fields of `filepath` among {('epoch', *fields)}",
                    f"{error} in {self.filepath!r}",
                    "Use a key of the logs.",
                )
            ) from error
