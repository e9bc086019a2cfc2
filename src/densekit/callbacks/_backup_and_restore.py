"""`BackupAndRestore`: go on after a crash where the last backup was made."""

from __future__ import annotations

import json
import os
import shutil

from densekit._core.errors import message
from densekit._core.registry import export
from densekit.callbacks._callback import Callback, Logs, only_batches_if
from densekit.callbacks._save_frequency import BatchesSinceSave, check_save_freq


@export("keras.callbacks")
class BackupAndRestore(Callback):
    """Backs up weights, optimizer and epoch while training; a `fit` that finds a backup continues
    it.

    An epoch that was cut short begins anew, from the weights of its last backup: with a number as
    `save_freq` its first batches are taken twice, as in Keras. Backups of whole epochs continue bit
    for bit.

    Args:
        backup_dir: folder of the backup, used by one training only.
        save_freq: ``"epoch"`` or a number of batches >= 1. Default: ``"epoch"``.
        double_checkpoint: keep the backup before the last, too. Default: ``False``.
        delete_checkpoint: delete the folder when training ends. Default: ``True``.

    Raises:
        ValueError: for an empty `backup_dir`, an unknown `save_freq`, or a model without weights
            when training begins.

    Example:

    >>> import densekit as keras, tempfile
    >>> keras.callbacks.BackupAndRestore(tempfile.mkdtemp()).save_freq
    'epoch'
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not backup_dir:
            raise ValueError("Empty `backup_dir` argument passed. Name a folder.")
        check_save_freq("BackupAndRestore", save_freq)
        self._dk_since_save = BatchesSinceSave(last=0)
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._weights_path = os.path.join(self.backup_dir, "latest.weights.h5")
        self._dk_metadata_path = os.path.join(self.backup_dir, "training_metadata.json")
        self._current_epoch = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        if not self.model.built:
            raise ValueError(
                message(
                    "BackupAndRestore",
                    "a model with weights",
                    f"the unbuilt model {self.model.name!r}",
                    "Call the model on a batch, or give it an Input, before `fit`.",
                )
            )
        try:
            self._dk_restore("")
        except (OSError, ValueError):
            if not os.path.exists(self._weights_path + ".bkp"):
                raise
            self._dk_restore(".bkp")  # the last backup was cut short: take the one before

    def _dk_restore(self, suffix: str) -> None:
        if suffix:
            shutil.copy(self._weights_path + suffix, self._weights_path)
            if os.path.exists(self._dk_metadata_path + suffix):
                shutil.copy(self._dk_metadata_path + suffix, self._dk_metadata_path)
            elif os.path.exists(self._dk_metadata_path):
                os.remove(self._dk_metadata_path)
        if os.path.exists(self._weights_path):
            if self.model.optimizer is not None and not self.model.optimizer.built:
                self.model.optimizer.build(self.model.trainable_variables)
            self.model.load_weights(self._weights_path)
        if os.path.exists(self._dk_metadata_path):
            with open(self._dk_metadata_path) as file:
                self.model._initial_epoch = json.load(file)["epoch"]

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._current_epoch = epoch + 1
        self._dk_since_save.last = 0
        if self.save_freq == "epoch":
            self._dk_save()

    @only_batches_if(lambda callback: callback.save_freq != "epoch")
    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._dk_since_save.add(batch)
        if self._dk_since_save.reach(self.save_freq):
            self._dk_save()

    def _dk_save(self) -> None:
        os.makedirs(self.backup_dir, exist_ok=True)
        if self.double_checkpoint:
            for path in (self._weights_path, self._dk_metadata_path):
                if os.path.exists(path):
                    shutil.copy(path, f"{path}.bkp")
        self.model.save_weights(self._weights_path, overwrite=True)
        temporary = f"{self._dk_metadata_path}.tmp"
        with open(temporary, "w") as file:
            batch = self._dk_since_save.last
            json.dump({"epoch": self._current_epoch, "batch": batch}, file)
        os.replace(temporary, self._dk_metadata_path)

    def on_train_end(self, logs: Logs = None) -> None:
        if self.delete_checkpoint and os.path.exists(self.backup_dir):
            shutil.rmtree(self.backup_dir)
