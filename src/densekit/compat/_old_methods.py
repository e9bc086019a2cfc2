"""Methods and arguments of Keras 2 that scripts use, on the classes of Keras 3 that took over."""

from __future__ import annotations

from functools import wraps

import numpy as np

from densekit._core.frames import warn
from densekit._core.types import Array, ArrayLike, TensorLike
from densekit.models import Model
from densekit.optimizers import Optimizer


def let_models_have_old_methods() -> None:
    """From now on models and optimizers know what Keras 2 called otherwise."""
    for name in ("fit", "evaluate", "predict"):
        setattr(Model, f"{name}_generator", _of_generators(name))
    Model.predict_classes = _predict_classes  # type: ignore[attr-defined]
    Model.predict_proba = Model.predict  # type: ignore[attr-defined]
    Model.compiled_loss = property(_CompiledLoss)  # type: ignore[attr-defined]
    Model.compiled_metrics = property(_CompiledMetrics)  # type: ignore[attr-defined]
    Optimizer.__init__ = _taking_lr(Optimizer.__init__)  # type: ignore[method-assign, assignment]
    Optimizer.lr = property(  # type: ignore[assignment]
        lambda self: self.learning_rate,
        lambda self, value: setattr(self, "learning_rate", value),
    )


def _of_generators(name: str) -> object:
    def method(model: Model, generator: object, *args: object, **options: object) -> object:
        for ignored in ("workers", "use_multiprocessing", "max_queue_size"):
            options.pop(ignored, None)
        if args:  # steps come first
            options["steps_per_epoch" if name == "fit" else "steps"] = args[0]
        return getattr(model, name)(generator, **options)

    method.__name__ = f"{name}_generator"
    method.__doc__ = f"`{name}`, which takes generators itself."
    return method


def _predict_classes(
    model: Model, x: object, batch_size: int | None = None, verbose: object = 0
) -> Array:
    """The class of each row: the largest output, or whether a single one is above 0.5."""
    found = np.asarray(model.predict(x, batch_size=batch_size, verbose=verbose))
    return found.argmax(axis=-1) if found.shape[-1] > 1 else (found > 0.5).astype("int32")


class _CompiledLoss:
    """``model.compiled_loss(y, y_pred)`` in an own step: the compiled losses, and their mean."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __call__(
        self,
        y_true: ArrayLike,
        y_pred: TensorLike,
        sample_weight: ArrayLike | None = None,
        regularization_losses: object = None,
    ) -> TensorLike:
        # What layers and penalties added is in it.
        loss: TensorLike = self._model.compute_loss(
            y=y_true, y_pred=y_pred, sample_weight=sample_weight
        )
        if self._model._loss_tracker is not None:
            self._model._loss_tracker.update_state(loss)
        return loss


class _CompiledMetrics:
    """``model.compiled_metrics.update_state(y, y_pred)`` in an own step."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def update_state(
        self, y_true: ArrayLike, y_pred: TensorLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Update the compiled metrics."""
        if self._model._compile_metrics is not None:
            self._model._compile_metrics.update_state(y_true, y_pred, sample_weight)


def _taking_lr(plain: object) -> object:
    @wraps(plain)  # type: ignore[arg-type]
    def init(self: Optimizer, learning_rate: object, *args: object, **options: object) -> None:
        if "lr" in options:
            warn(f"{type(self).__name__}: `lr` is `learning_rate` now.")
            learning_rate = options.pop("lr")
        plain(self, learning_rate, *args, **options)  # type: ignore[operator]

    return init
