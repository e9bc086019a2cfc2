"""Callbacks: what a user can hook into training, evaluation and prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.callbacks._backup_and_restore import BackupAndRestore as BackupAndRestore
    from densekit.callbacks._callback import Callback as Callback
    from densekit.callbacks._callback_list import CallbackList as CallbackList
    from densekit.callbacks._csv_logger import CSVLogger as CSVLogger
    from densekit.callbacks._early_stopping import EarlyStopping as EarlyStopping
    from densekit.callbacks._history import History as History
    from densekit.callbacks._lambda_callback import LambdaCallback as LambdaCallback
    from densekit.callbacks._learning_rate_scheduler import (
        LearningRateScheduler as LearningRateScheduler,
    )
    from densekit.callbacks._model_checkpoint import ModelCheckpoint as ModelCheckpoint
    from densekit.callbacks._orbax_checkpoint import OrbaxCheckpoint as OrbaxCheckpoint
    from densekit.callbacks._progbar import Progbar as Progbar
    from densekit.callbacks._progbar_logger import ProgbarLogger as ProgbarLogger
    from densekit.callbacks._reduce_lr_on_plateau import ReduceLROnPlateau as ReduceLROnPlateau
    from densekit.callbacks._remote_monitor import RemoteMonitor as RemoteMonitor
    from densekit.callbacks._swap_ema_weights import SwapEMAWeights as SwapEMAWeights
    from densekit.callbacks._tensorboard import TensorBoard as TensorBoard
    from densekit.callbacks._terminate_on_nan import TerminateOnNaN as TerminateOnNaN
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "_backup_and_restore": "BackupAndRestore",
            "_callback": "Callback",
            "_callback_list": "CallbackList",
            "_csv_logger": "CSVLogger",
            "_early_stopping": "EarlyStopping",
            "_history": "History",
            "_lambda_callback": "LambdaCallback",
            "_learning_rate_scheduler": "LearningRateScheduler",
            "_model_checkpoint": "ModelCheckpoint",
            "_orbax_checkpoint": "OrbaxCheckpoint",
            "_progbar": "Progbar",
            "_progbar_logger": "ProgbarLogger",
            "_reduce_lr_on_plateau": "ReduceLROnPlateau",
            "_remote_monitor": "RemoteMonitor",
            "_swap_ema_weights": "SwapEMAWeights",
            "_tensorboard": "TensorBoard",
            "_terminate_on_nan": "TerminateOnNaN",
        },
    )
