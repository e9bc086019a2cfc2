"""Steps without side effects: handed the values of all variables, they return new ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from densekit._core.boxes import unboxed
from densekit._core.errors import message
from densekit._core.scope import in_stateless_scope
from densekit._core.variable import Variable
from densekit.training._overrides import STEPS
from densekit.training._run_metrics import LossMean

if TYPE_CHECKING:
    from densekit.training._model import TrainableModel


def state_of(model: TrainableModel, mode: str) -> list[list[Variable]]:
    """The variables of a state, list by list."""
    lists = [model.trainable_variables, model.non_trainable_variables]
    if mode == "train":
        lists.append(model.optimizer.variables if model.optimizer is not None else [])
    if mode != "predict":
        lists.append(model.metrics_variables)
    return lists


def with_state(
    model: TrainableModel, mode: str, step: Callable[..., object], data: object
) -> object:
    """The result of a step without side effects, whose new state goes to the variables."""
    lists = state_of(model, mode)
    is_traced = in_stateless_scope()
    state = tuple(
        [v.current() if is_traced else v.numpy() for v in variables] for variables in lists
    )
    result = step(state, data)
    if not (isinstance(result, tuple) and len(result) == 2 and len(result[1]) == len(lists)):
        raise ValueError(
            message(
                f"{type(model).__name__}.{STEPS[mode]}",
                f"`(logs, state)` with a state of {len(lists)} lists",
                type(result).__name__,
                "Return the new values of all that was handed in.",
            )
        )
    logs, after = result
    for variables, values in zip(lists, after, strict=True):
        if len(variables) != len(values):
            raise ValueError(
                message(
                    f"{type(model).__name__}.{STEPS[mode]}",
                    f"{len(variables)} values",
                    f"{len(values)}",
                    "Return one value for each variable.",
                )
            )
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value if is_traced else np.asarray(unboxed(value)))
    if not is_traced:
        forget_sums(model)
    return logs


def forget_sums(model: TrainableModel) -> None:
    """Means of losses go on from what their variables say."""
    for metric in model.metrics:
        if isinstance(metric, LossMean):
            metric.forget_sums()
