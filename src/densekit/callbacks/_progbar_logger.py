"""`ProgbarLogger`: the text that `fit`, `evaluate` and `predict` write."""

from __future__ import annotations

import time

from densekit._core.console import write
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit.callbacks._callback import Callback, Logs, RunParams, only_batches_if
from densekit.callbacks._progbar import Progbar

# A `predict` with verbose="auto" that is done sooner than this shows no bar at all.
_PREDICT_DELAY = 0.25

_between_chunks = only_batches_if(lambda callback: False)


@export("keras.callbacks")
class ProgbarLogger(Callback):
    """Writes a progress bar (``verbose=1``) or a line per epoch (``verbose=2``) to standard output.

    It is added by `fit`, `evaluate` and `predict` according to their `verbose`. With
    ``verbose="auto"`` a `predict` shows its bar only if it takes a quarter of a second.

    Example:

    >>> import densekit as keras
    >>> keras.callbacks.ProgbarLogger().seen
    0
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0
        self.progbar: Progbar | None = None
        self.target: int | None = None
        self.verbose = 1
        self.epochs = 1
        self._dk_in_fit = False
        self._dk_quiet_until = 0.0
        self._dk_auto = False

    def set_params(self, params: RunParams) -> None:
        verbose = params["verbose"]
        self._dk_auto = verbose == "auto"
        if not self._dk_auto and verbose not in (0, 1, 2):
            raise ValueError(
                message("`verbose`", "'auto', 0, 1 or 2", describe(verbose), "Pass 0.")
            )
        self.verbose = 1 if self._dk_auto else int(verbose)
        self.epochs = params["epochs"]
        self.target = params["steps"]

    def on_train_begin(self, logs: Logs = None) -> None:
        self._dk_in_fit = True  # validation inside `fit` is silent

    def on_train_end(self, logs: Logs = None) -> None:
        self._dk_in_fit = False

    def on_test_begin(self, logs: Logs = None) -> None:
        if not self._dk_in_fit:
            self._dk_restart()

    def on_predict_begin(self, logs: Logs = None) -> None:
        self._dk_restart()
        if self._dk_auto:
            self._dk_quiet_until = time.monotonic() + _PREDICT_DELAY

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._dk_restart()
        if self.verbose and self.epochs > 1:
            title = f"Epoch {epoch + 1}/{self.epochs}"
            if self.verbose == 1:
                write(title)
            elif self.progbar is not None:
                self.progbar._title = [title]

    @_between_chunks
    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._dk_update(batch, logs)

    @_between_chunks
    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        if not self._dk_in_fit:
            self._dk_update(batch, logs)

    @_between_chunks
    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._dk_update(batch, None)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._dk_finish(logs)

    def on_test_end(self, logs: Logs = None) -> None:
        if not self._dk_in_fit:
            self._dk_finish(logs)

    def on_predict_end(self, logs: Logs = None) -> None:
        self._dk_finish(logs)
        self._dk_quiet_until = 0.0

    def _dk_restart(self) -> None:
        self.seen = 0
        self.progbar = Progbar(
            target=self.target, verbose=self.verbose, unit_name="step", stateless_metrics=()
        )

    def _dk_update(self, batch: int, logs: Logs) -> None:
        if self.progbar is None:
            self._dk_restart()
        assert self.progbar is not None
        self.seen = batch + 1
        if self.verbose == 1 and time.monotonic() >= self._dk_quiet_until:
            self.progbar.update(self.seen, list((logs or {}).items()), finalize=False)

    def _dk_finish(self, logs: Logs) -> None:
        if self.progbar is None:
            self._dk_restart()
        assert self.progbar is not None
        if self.target is None:  # a stream: its length is known now
            self.target = self.seen
            self.progbar.target = self.target
        if time.monotonic() >= self._dk_quiet_until:
            self.progbar.update(self.target, list((logs or {}).items()), finalize=True)
