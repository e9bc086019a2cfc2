"""`SwapEMAWeights`: evaluate with the averaged weights, train with the others."""

from __future__ import annotations

from densekit._core.errors import message
from densekit._core.registry import export
from densekit._core.variable import Variable
from densekit.callbacks._callback import Callback, Logs


@export("keras.callbacks")
class SwapEMAWeights(Callback):
    """Puts the optimizer's moving averages into the model while it is evaluated or saved.

    Args:
        swap_on_epoch: also swap at the end of each epoch and back at the start of the next, so that
            checkpoints hold the averages. Default: ``False``.

    Raises:
        ValueError: if the optimizer keeps no averages (``use_ema=True``).

    Example:

    >>> import densekit as keras
    >>> keras.callbacks.SwapEMAWeights(swap_on_epoch=True).swap_on_epoch
    True
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._dk_averages_in_model = False

    def _dk_pairs(self) -> list[tuple[Variable, Variable]]:
        parts = self.model.optimizer.native_parts
        averaging = [part for part in parts if part.use_ema and part.built]
        if not averaging:
            raise ValueError(
                message(
                    "SwapEMAWeights",
                    "an optimizer with use_ema=True",
                    "one without averages",
                    "Pass use_ema=True to the optimizer.",
                )
            )
        return [(v, part.native_ema(v)) for part in averaging for v in part._trainable_variables]

    def _dk_swap(self, averages_in_model: bool) -> None:
        if self._dk_averages_in_model == averages_in_model:
            return
        for variable, average in self._dk_pairs():
            value = variable.numpy()
            variable.assign(average.numpy())
            average.assign(value)
        self._dk_averages_in_model = averages_in_model

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        if self.swap_on_epoch:
            self._dk_swap(False)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if not self.swap_on_epoch:
            return
        self._dk_swap(True)
        if self.params is not None and epoch == self.params["epochs"] - 1:
            for variable, average in self._dk_pairs():
                average.assign(variable.numpy())  # training is over: both hold the averages

    def on_test_begin(self, logs: Logs = None) -> None:
        self._dk_swap(True)

    def on_test_end(self, logs: Logs = None) -> None:
        self._dk_swap(False)

    def on_predict_begin(self, logs: Logs = None) -> None:
        self._dk_swap(True)

    def on_predict_end(self, logs: Logs = None) -> None:
        self._dk_swap(False)
