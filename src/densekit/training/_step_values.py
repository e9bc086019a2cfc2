"""What stands for the values of a step that is followed rather than run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from densekit._core.variable import Variable
from densekit.losses import Loss
from densekit.metrics import Metric
from densekit.ops import KerasTensor


@dataclass(eq=False, slots=True)
class BatchLoss:
    """A number made of a whole batch: of rows that are summed, or a built-in loss.

    Attributes:
        rows: what is summed; of a built-in loss the predictions.
        reduction: "mean" or "sum" of all elements.
        loss: the built-in loss.
        target: which column of the data holds its targets.
    """

    rows: KerasTensor
    reduction: str
    loss: Loss | None = None
    target: int = -1


class Gradient(NamedTuple):
    """The gradient of a loss by a variable."""

    loss: BatchLoss
    variable: Variable


class MetricValue(NamedTuple):
    """What a metric says after the step; None: all of the model's metrics."""

    metric: Metric | None


class MetricUpdate(NamedTuple):
    """A call that adds the batch to a metric; None: to those that the model was compiled with."""

    metric: Metric | None
    args: tuple[object, ...]
    kwargs: Mapping[str, object]


class OpenTape:
    """A tape of the step."""


@dataclass(eq=False)
class StepEffects:
    """What a step was found to do."""

    loss: BatchLoss | None = None
    variables: Sequence[Variable] = ()
    updates: list[MetricUpdate] = field(default_factory=list)
    logs: object = None
    applied: bool = False
