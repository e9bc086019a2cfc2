"""`TerminateOnNaN`: stop as soon as the loss is no number any more."""

from __future__ import annotations

import math

from densekit._core.console import write
from densekit._core.registry import export
from densekit.callbacks._callback import Callback, Logs


@export("keras.callbacks")
class TerminateOnNaN(Callback):
    """Stops training at the first batch whose loss is NaN or infinite.

    Args:
        raise_error: raise instead of stopping quietly. Default: ``False``.

    Raises:
        RuntimeError: at such a batch, if `raise_error`.

    Example:

    >>> import densekit as keras
    >>> keras.callbacks.TerminateOnNaN().raise_error
    False
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(
                f"NaN or Inf loss encountered at batch {batch}. Loss value: {loss}. "
                "Lower the learning rate or look for NaN in the data."
            )
        write(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True
