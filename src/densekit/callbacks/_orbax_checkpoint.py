"""`OrbaxCheckpoint`: checkpoints that each process of a job writes its part of."""

from __future__ import annotations

import os
from typing import Any

from densekit._core import types
from densekit._core.errors import message
from densekit._core.frames import warn
from densekit._core.registry import export
from densekit.callbacks._callback import Logs, only_batches_if
from densekit.callbacks._monitor_callback import MonitorCallback
from densekit.callbacks._save_frequency import BatchesSinceSave, check_save_freq

_MISSING = message(
    "OrbaxCheckpoint",
    "the package orbax-checkpoint, 0.12 or newer",
    "an environment without it",
    'Install the extra: pip install "densekit[orbax]".',
)


@export("keras.callbacks")
class OrbaxCheckpoint(MonitorCallback):
    """Saves the model after epochs, or after every so many batches, through the package Orbax.

    A folder below `directory` for each checkpoint: by the number of the epoch from 0, or of the
    batches so far. In a job of several processes every one has this callback; each writes the parts
    of weights that its own devices hold. `models.load_model` reads the latest, also in a
    job of other size, `Model.load_weights` also one of these folders.

    Args:
        directory: folder of the checkpoints.
        monitor: key of the logs. Default: ``"val_loss"``.
        verbose: as in Keras, says nothing. Default: ``0``.
        save_best_only: save if the value is the best so far. Default: ``False``.
        mode: ``"min"``, ``"max"`` or ``"auto"``. Default: ``"auto"``.
        save_freq: ``"epoch"`` or a number of batches >= 1. Default: ``"epoch"``.
        initial_value_threshold: value that the first save must beat. Default: ``None``.
        max_to_keep: how many of the latest stay; None: all. Default: ``1``.
        save_on_background: write while training goes on. Default: ``True``.
        save_weights_only: leave out optimizer, metrics and config: for `load_weights`. Default:
            ``False``.

    Raises:
        ImportError: if Orbax is not installed.
        ValueError: for an unknown `save_freq`; while training for a step that the folder has, or
            that comes before its latest.

    Example:

    >>> import densekit as keras, numpy as np, tempfile
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> folder = tempfile.mkdtemp()
    >>> save = keras.callbacks.OrbaxCheckpoint(folder)
    >>> history = model.fit(np.ones((4, 2)), np.ones(4), epochs=2, verbose=0, callbacks=[save])
    >>> int(keras.models.load_model(folder).optimizer.iterations)
    2
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        max_to_keep: int | None = 1,
        save_on_background: bool = True,
        save_weights_only: bool = False,
    ) -> None:
        try:
            import orbax.checkpoint as package  # optional: this callback alone needs it
        except ImportError as error:
            raise ImportError(_MISSING) from error
        super().__init__(monitor, mode, initial_value_threshold)
        check_save_freq("OrbaxCheckpoint", save_freq)
        self._dk_since_save = BatchesSinceSave()
        self.directory = os.fspath(directory)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_freq = save_freq
        self.max_to_keep = max_to_keep
        self.save_on_background = save_on_background
        self.save_weights_only = save_weights_only
        self._dk_multihost: Any = package.multihost
        self._dk_folder: Any = None
        self._dk_batches = 0  # of all trainings of the model

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        if model.optimizer is not None:
            self._dk_batches = int(model.optimizer.iterations)

    @only_batches_if(lambda callback: callback.save_freq != "epoch")
    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._dk_batches += self._dk_since_save.add(batch)
        if self._dk_since_save.reach(self.save_freq):
            self._dk_save(self._dk_batches, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.save_freq == "epoch":
            self._dk_save(epoch, logs)

    def on_train_end(self, logs: Logs = None) -> None:
        self._dk_since_save.last = -1
        if self._dk_folder is not None:
            folder, self._dk_folder = self._dk_folder, None
            folder.close()

    def wait_until_finished(self) -> None:
        """Return when all checkpoints are written, in every process."""
        if self._dk_folder is not None:
            self._dk_folder.wait()

    def is_multihost_enabled(self) -> bool:
        """Whether this is a process of a job that `distribution.initialize` joined."""
        return bool(self._dk_multihost.is_jax_distributed_client_initialized())

    def is_primary_host(self) -> bool:
        """Whether this is the first process, or the only one."""
        first: bool = self._dk_multihost.is_primary_host(0)
        return not self.is_multihost_enabled() or first

    def _dk_save(self, step: int, logs: Logs) -> None:
        if not self._dk_is_wanted(step, logs or {}):
            return
        if self._dk_folder is None:
            self._dk_folder = self.model._dk_orbax_folder(self.directory, self.max_to_keep)
        self._dk_folder.save(step, self.model, self.save_weights_only, self.save_on_background)

    def _dk_is_wanted(self, step: int, logs: types.Logs) -> bool:
        if not self.save_best_only:
            return True
        current = logs.get(self.monitor)
        if current is None:
            warn(
                f"Can save best model only with {self.monitor} available, "
                f"skipping save at {'epoch' if self.save_freq == 'epoch' else 'batch'} {step}."
            )
            return False
        if self.monitor_op is None:
            self._set_monitor_op()
        if not self._is_improvement(current, self.best):
            return False
        self.best = current
        return True
