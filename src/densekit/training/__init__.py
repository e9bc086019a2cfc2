"""Training a model: compile, sessions, the loop, the metrics of a run, users' own gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.training._fitting import Fitting as Fitting
    from densekit.training._keras_steps import KerasSteps as KerasSteps
    from densekit.training._model import TrainableModel as TrainableModel
    from densekit.training._predictions import Predictions as Predictions
    from densekit.training._preparation import Preparation as Preparation
    from densekit.training._sessions import Sessions as Sessions
    from densekit.training._single_batches import SingleBatches as SingleBatches
    from densekit.training._tape import GradientTape as GradientTape
    from densekit.training._value_and_grad import value_and_grad as value_and_grad
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "_fitting": "Fitting",
            "_keras_steps": "KerasSteps",
            "_model": "TrainableModel",
            "_predictions": "Predictions",
            "_preparation": "Preparation",
            "_sessions": "Sessions",
            "_single_batches": "SingleBatches",
            "_tape": "GradientTape",
            "_value_and_grad": "value_and_grad",
        },
    )
