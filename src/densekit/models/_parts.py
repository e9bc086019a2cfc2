"""`Parts`: what a model holds to be trained, evaluated and asked for predictions.

Those that run data are made when first used, and loaded then.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from densekit import training
from densekit.data._tables import KnownColumns
from densekit.optimizers import Optimizer
from densekit.training._compiled import Compiled
from densekit.training._runtime import Runtime

if TYPE_CHECKING:
    from densekit.callbacks import History

# Set while a model runs: none of them changes what a plan computes.
_RUN_STATE = frozenset(
    {
        "compiled",
        "history",
        "loss",
        "optimizer",
        "run_eagerly",
        "jit_compile",
        "steps_per_execution",
        "stop_training",
        "stop_evaluating",
        "stop_predicting",
        "_initial_epoch",
    }
)


class Parts:
    """The parts of a model, and the attributes that they and the user set while it runs."""

    optimizer: Optimizer | None
    loss: object
    dtype_policy: Any
    compiled: bool
    built: bool
    run_eagerly: bool
    jit_compile: bool
    steps_per_execution: int
    stop_training: bool
    stop_evaluating: bool
    stop_predicting: bool
    history: History | None
    train_function: Callable[..., object] | None
    test_function: Callable[..., object] | None
    predict_function: Callable[..., object] | None
    _initial_epoch: int | None
    _dk_runtime: Runtime
    _dk_compiled: Compiled
    _dk_known_columns: KnownColumns
    _dk_known_targets: KnownColumns

    def __init__(self) -> None:
        state = self.__dict__
        state["_dk_runtime"] = runtime = Runtime(self._dk_model)
        state["_dk_compiled"] = Compiled(self._dk_model, runtime)
        state["_dk_known_columns"] = KnownColumns("input")
        state["_dk_known_targets"] = KnownColumns("output")
        for name in _RUN_STATE:
            state[name] = None
        state["compiled"] = False
        state["run_eagerly"] = False
        state["steps_per_execution"] = 1
        state["stop_training"] = False

    def __setattr__(self, name: str, value: object) -> None:
        if name in _RUN_STATE:
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    @property
    def _dk_model(self) -> training.TrainableModel:
        return cast("training.TrainableModel", self)

    @cached_property
    def _dk_data(self) -> training.Preparation:
        return training.Preparation(self._dk_model, self._dk_runtime, self._dk_compiled)

    @cached_property
    def _dk_sessions(self) -> training.Sessions:
        return training.Sessions(self._dk_model, self._dk_runtime, self._dk_data, self._dk_compiled)

    @cached_property
    def _dk_batches(self) -> training.SingleBatches:
        return training.SingleBatches(
            self._dk_model, self._dk_runtime, self._dk_data, self._dk_compiled, self._dk_sessions
        )

    @cached_property
    def _dk_fitting(self) -> training.Fitting:
        return training.Fitting(
            self._dk_model, self._dk_runtime, self._dk_data, self._dk_compiled, self._dk_sessions
        )

    @cached_property
    def _dk_predictions(self) -> training.Predictions:
        return training.Predictions(self._dk_model, self._dk_runtime, self._dk_data)

    @cached_property
    def _dk_steps(self) -> training.KerasSteps:
        return training.KerasSteps(self._dk_model, self._dk_compiled, self._dk_batches)
