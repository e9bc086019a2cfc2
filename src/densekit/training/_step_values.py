"""What stands for the values of a step that is followed rather than run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from densekit._core.plan import NotLowerable
from densekit._core.types import Real
from densekit._core.variable import Variable
from densekit.engines.formula_numbers import FORWARD
from densekit.losses import Loss
from densekit.metrics import Metric
from densekit.ops import KerasTensor
from densekit.optimizers import Optimizer


class BatchSize:
    """How many rows some batches have that were joined, where the step asks for it.

    Args:
        batches: how many.
    """

    def __init__(self, batches: int) -> None:
        self.batches = batches


@cache
def rows_of_batches(batches: int) -> BatchSize:
    """The rows of so many batches, the same object each time."""
    return BatchSize(batches)


class BatchLoss:
    """A number made of the whole batch."""


@dataclass(eq=False, slots=True)
class RowLoss(BatchLoss):
    """A sum or mean of rows, or a built-in loss.

    Attributes:
        rows: what is summed; of a built-in loss the predictions.
        reduction: "mean" or "sum" of all elements.
        loss: the built-in loss.
        target: which column of the data holds its targets; -1: none, or `made`.
        made: targets that the step makes of the data.
        weights: which one the weights of its samples; -1: they have none.
    """

    rows: KerasTensor
    reduction: str
    loss: Loss | None = None
    target: int = -1
    weights: int = -1
    made: KerasTensor | None = None


@dataclass(eq=False, slots=True)
class Combined(BatchLoss):
    """What is linear in such numbers: an op of `engines/formula_numbers.py`, and its operands."""

    name: str
    operands: tuple[BatchLoss | float, ...]


def ends_of(loss: BatchLoss) -> list[RowLoss]:
    """What a loss is made of."""
    if isinstance(loss, RowLoss):
        return [loss]
    parts = loss.operands if isinstance(loss, Combined) else ()
    found = [end for part in parts if isinstance(part, BatchLoss) for end in ends_of(part)]
    return list({id(end): end for end in found}.values())


def value_of(loss: BatchLoss | float, ends: Mapping[int, Real]) -> Real | float:
    """A loss from the values of its ends, by id, as a tape computes it."""
    if not isinstance(loss, Combined):
        return ends[id(loss)] if isinstance(loss, BatchLoss) else loss
    values = [value_of(part, ends) for part in loss.operands]
    kind = type(next(iter(ends.values())))
    combined: Real = kind(FORWARD[loss.name](*values))
    return combined


def weights_of(loss: BatchLoss, weight: Real) -> dict[int, Real]:
    """The gradient of a loss by its ends, by id, as a tape computes it."""
    if not isinstance(loss, Combined):
        return {id(loss): weight}
    into: dict[int, Real] = {}
    for i, part in enumerate(loss.operands):
        if not isinstance(part, BatchLoss):
            continue
        own = weight
        if loss.name == "negative" or (loss.name == "subtract" and i == 1):
            own = -weight
        elif loss.name in ("multiply", "divide"):
            other = loss.operands[1 - i]
            assert isinstance(other, int | float)  # or the step had been refused
            own = weight * other if loss.name == "multiply" else weight / other
        for end, more in weights_of(part, own).items():
            into[end] = into[end] + more if end in into else more
    return into


@dataclass(eq=False, slots=True)
class Gradient:
    """The gradient of a loss by a variable."""

    loss: BatchLoss
    variable: Variable


@dataclass(eq=False, slots=True)
class MetricValue:
    """What a metric says after the step; None: all of the model's metrics, or what has a name."""

    metric: Metric | None
    name: str = ""


ALL_METRICS = object()  # the key of what all of them say, in a dict of the step


class MetricUpdate(NamedTuple):
    """A call that adds the batch to a metric; None: to those that the model was compiled with."""

    metric: Metric | None
    args: tuple[object, ...]
    kwargs: Mapping[str, object]


class Once:
    """An iterator that the step made: whoever goes through it leaves nothing for the next one."""

    def __init__(self, items: Iterable[object]) -> None:
        self._items = list(items)
        self._used = False

    def take(self) -> list[object]:
        """What it gives."""
        if self._used:
            raise NotLowerable("it goes twice through an iterator")
        self._used = True
        return self._items


class OpenTape:
    """A tape of the step."""

    def __init__(self) -> None:
        self.misses = False  # something that is computed in it was made in another one
        self.watched: dict[int, object] = {}  # rows as it sees them, by the ids of the step's


class Made(NamedTuple):
    """A call of the step, which Python may make as well.

    Attributes:
        function: what was called.
        args, kwargs: with symbols in the places of tensors.
        results: the symbols that it gave.
    """

    function: Callable[..., object]
    args: Sequence[object]
    kwargs: Mapping[str, object]
    results: Sequence[KerasTensor]


class Update(NamedTuple):
    """One update: what makes the loss smaller, by which optimizer.

    Attributes:
        loss: of its batch.
        variables: what is trained.
        optimizer: by what.
        nodes: how many calls had been recorded before it.
    """

    loss: BatchLoss
    variables: Sequence[Variable]
    optimizer: Optimizer
    nodes: int


@dataclass(eq=False)
class StepEffects:
    """What a step was found to do."""

    steps: list[Update] = field(default_factory=list)
    losses: list[BatchLoss] = field(default_factory=list)  # whose gradient it takes
    updates: list[MetricUpdate] = field(default_factory=list)
    logs: object = None
    asked: set[int] = field(default_factory=set)  # metrics whose values it has, by id
    said_again: set[str] = field(default_factory=set)  # names that it must return once more


def sizes_of(x: KerasTensor) -> list[int]:
    """The sizes of a row."""
    return [1 if n is None else n for n in x.shape[1:]]
