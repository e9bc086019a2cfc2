"""`CallbackList`: one call reaches every callback."""

from __future__ import annotations

from typing import TypeVar, Unpack

from densekit._core import tree, types
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit.callbacks._callback import Callback, Logs, RunParams, wants_batches
from densekit.callbacks._history import History
from densekit.callbacks._progbar_logger import ProgbarLogger

C = TypeVar("C", bound=Callback)


@export("keras.callbacks")
class CallbackList(Callback):
    """A list of callbacks that is called like one.

    Args:
        callbacks: callbacks, possibly nested in lists. Default: none.
        add_history: append a `History` if there is none. Default: ``False``.
        add_progbar: append a `ProgbarLogger` if there is none. Default: ``False``.
        model: the model they belong to. Default: ``None``.
        **params: handed to each callback's `set_params`.

    Raises:
        AttributeError: for an entry that is no callback.
        TypeError: for a class in place of an instance.

    Example:

    >>> import densekit as keras
    >>> callbacks = keras.callbacks.CallbackList(add_history=True)
    >>> [type(c).__name__ for c in callbacks.callbacks]
    ['History']
    """

    def __init__(
        self,
        callbacks: object = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: object = None,
        **params: Unpack[RunParams],
    ) -> None:
        super().__init__()
        self.callbacks: list[Callback] = tree.flatten(callbacks) if callbacks else []
        for callback in self.callbacks:
            _check(callback)
        self._history = self._dk_find(History)
        if self._history is None and add_history:
            self._history = History()
            self.callbacks.append(self._history)
        self._progbar = self._dk_find(ProgbarLogger)
        if self._progbar is None and add_progbar:
            self._progbar = ProgbarLogger()
            self.callbacks.append(self._progbar)
        if model is not None:
            self.set_model(model)
        self.set_params(params)

    def _dk_find(self, kind: type[C]) -> C | None:
        found = [c for c in self.callbacks if isinstance(c, kind)]
        return found[-1] if found else None

    def wants_batches(self, mode: str) -> bool:
        """Whether any callback must see every batch of ``"train"``, ``"test"`` or ``"predict"``."""
        return any(wants_batches(callback, mode) for callback in self.callbacks)

    @property
    def progress(self) -> ProgbarLogger | None:
        """The progress bar that moves while an epoch runs."""
        return self._progbar if self._progbar is not None and self._progbar.verbose == 1 else None

    def set_params(self, params: RunParams) -> None:
        self.params = params
        if params:
            for callback in self.callbacks:
                callback.set_params(params)

    def set_model(self, model: object) -> None:
        super().set_model(model)
        if self._history is not None:
            self.model.history = self._history
        for callback in self.callbacks:
            callback.set_model(model)

    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        logs = _shown(logs)
        for callback in self.callbacks:
            callback.on_batch_begin(batch, logs=logs)

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        logs = _shown(logs)
        for callback in self.callbacks:
            callback.on_batch_end(batch, logs=logs)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        logs = _shown(logs)
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        logs = _shown(logs)
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        logs = _shown(logs)
        for callback in self.callbacks:
            callback.on_train_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        logs = _shown(logs)
        for callback in self.callbacks:
            callback.on_train_batch_end(batch, logs=logs)

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        logs = _shown(logs)
        for callback in self.callbacks:
            callback.on_test_batch_begin(batch, logs=logs)

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        logs = _shown(logs)
        for callback in self.callbacks:
            callback.on_test_batch_end(batch, logs=logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        logs = _shown(logs)
        for callback in self.callbacks:
            callback.on_predict_batch_begin(batch, logs=logs)

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        logs = _shown(logs)
        for callback in self.callbacks:
            callback.on_predict_batch_end(batch, logs=logs)

    def on_train_begin(self, logs: Logs = None) -> None:
        logs = _shown(logs)
        for callback in self.callbacks:
            callback.on_train_begin(logs)

    def on_train_end(self, logs: Logs = None) -> None:
        logs = _shown(logs)
        for callback in self.callbacks:
            callback.on_train_end(logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        logs = _shown(logs)
        for callback in self.callbacks:
            callback.on_test_begin(logs)

    def on_test_end(self, logs: Logs = None) -> None:
        logs = _shown(logs)
        for callback in self.callbacks:
            callback.on_test_end(logs)

    def on_predict_begin(self, logs: Logs = None) -> None:
        logs = _shown(logs)
        for callback in self.callbacks:
            callback.on_predict_begin(logs)

    def on_predict_end(self, logs: Logs = None) -> None:
        logs = _shown(logs)
        for callback in self.callbacks:
            callback.on_predict_end(logs)


def _shown(logs: Logs) -> types.Logs:
    """A copy that all callbacks share, its keys sorted; what one adds the next ones see."""
    return {key: logs[key] for key in sorted(logs)} if logs else {}


def _check(callback: object) -> None:
    """Anything with the methods of a callback will do, but not its class."""
    expected = "instances of `keras.callbacks.Callback`"
    if isinstance(callback, type):
        name = callback.__name__
        raise TypeError(message("`callbacks`", expected, f"class {name}", f"Write {name}()."))
    if not hasattr(callback, "set_model"):
        action = "Wrap a function as keras.callbacks.LambdaCallback(on_epoch_end=function)."
        raise AttributeError(message("`callbacks`", expected, describe(callback), action))
