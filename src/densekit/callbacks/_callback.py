"""`Callback`, the base of all, and the question whether one wants to see every batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict, TypeVar

from densekit._core import types
from densekit._core.registry import export

F = TypeVar("F", bound=Callable[..., object])
Logs = types.Logs | None


class RunParams(TypedDict, total=False):
    """What a run was asked for, as callbacks are told it."""

    verbose: int | str
    epochs: int
    steps: int | None  # of an epoch; None: not known yet


def only_batches_if(wanted: Callable[[Any], bool]) -> Callable[[F], F]:
    """Mark a batch hook that needs every single batch only where ``wanted(callback)`` is true.

    A callback that overrides a batch hook makes training return to Python after every step. A hook
    marked so may instead be called with the last batch of each stretch of steps.
    """

    def mark(hook: F) -> F:
        hook.wants_batches = wanted  # type: ignore[attr-defined]
        return hook

    return mark


_default = only_batches_if(lambda callback: False)


@export("keras.callbacks")
class Callback:
    """Base class of callbacks: override the hooks you need.

    Hooks run in this order: ``on_train_begin``, then per epoch ``on_epoch_begin``, per batch
    ``on_train_batch_begin`` and ``on_train_batch_end``, with validation ``on_test_begin`` ...
    ``on_test_end``, ``on_epoch_end``, and last ``on_train_end``. `logs` holds the running means.

    Without an overridden batch hook whole epochs run in one native call; with one, training returns
    to Python after each step.

    Example:

    >>> import densekit as keras
    >>> class Print(keras.callbacks.Callback):
    ...     def on_train_begin(self, logs=None):
    ...         print("begin", self.params["epochs"])
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> import numpy as np
    >>> history = model.fit(np.ones((4, 2)), np.ones(4), verbose=0, callbacks=[Print()])
    begin 1
    """

    def __init__(self) -> None:
        self.params: RunParams | None = None
        self._model: object = None

    def set_params(self, params: RunParams) -> None:
        """Receive the run's ``{"verbose", "epochs", "steps"}`` before it begins."""
        self.params = params

    def set_model(self, model: object) -> None:
        """Receive the model before the run."""
        self._model = model

    @property
    def model(self) -> Any:
        """The model being trained, evaluated or asked for predictions."""
        return self._model

    @_default
    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Alias of `on_train_batch_begin`."""

    @_default
    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Alias of `on_train_batch_end`."""

    @_default
    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Before an epoch of `fit`."""

    @_default
    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """After an epoch and its validation; `logs` has the ``val_`` results too."""

    @_default
    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Before a training step."""
        self.on_batch_begin(batch, logs=logs)

    @_default
    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """After a training step."""
        self.on_batch_end(batch, logs=logs)

    @_default
    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Before a batch of `evaluate`."""

    @_default
    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """After a batch of `evaluate`."""

    @_default
    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Before a batch of `predict`."""

    @_default
    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """After a batch of `predict`; `logs` holds the ``outputs``."""

    @_default
    def on_train_begin(self, logs: Logs = None) -> None:
        """Before `fit`."""

    @_default
    def on_train_end(self, logs: Logs = None) -> None:
        """After `fit`; `logs` are those of the last epoch."""

    @_default
    def on_test_begin(self, logs: Logs = None) -> None:
        """Before `evaluate`, also as validation."""

    @_default
    def on_test_end(self, logs: Logs = None) -> None:
        """After `evaluate`, also as validation."""

    @_default
    def on_predict_begin(self, logs: Logs = None) -> None:
        """Before `predict`."""

    @_default
    def on_predict_end(self, logs: Logs = None) -> None:
        """After `predict`."""


_BATCH_HOOKS = {
    "train": ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"),
    "test": ("on_test_batch_begin", "on_test_batch_end"),
    "predict": ("on_predict_batch_begin", "on_predict_batch_end"),
}


def wants_batches(callback: object, mode: str) -> bool:
    """Whether `callback` must see every batch of ``"train"``, ``"test"`` or ``"predict"``."""
    for name in _BATCH_HOOKS[mode]:
        hook = getattr(callback, name)
        wanted = getattr(getattr(hook, "__func__", hook), "wants_batches", None)
        if wanted is None or wanted(callback):
            return True
    return False
