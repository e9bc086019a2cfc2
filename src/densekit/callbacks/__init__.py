"""Callbacks: what a user can hook into training, evaluation and prediction."""

from __future__ import annotations

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
from densekit.callbacks._progbar import Progbar as Progbar
from densekit.callbacks._progbar_logger import ProgbarLogger as ProgbarLogger
from densekit.callbacks._reduce_lr_on_plateau import ReduceLROnPlateau as ReduceLROnPlateau
from densekit.callbacks._swap_ema_weights import SwapEMAWeights as SwapEMAWeights
from densekit.callbacks._terminate_on_nan import TerminateOnNaN as TerminateOnNaN
