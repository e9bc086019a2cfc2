"""Steps that users wrote: what an engine is told of them, and what runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from densekit._core.variable import Variable

if TYPE_CHECKING:
    from densekit._core.engine import Chunk


class StepTerm(NamedTuple):
    """A part of the loss of a user's own step.

    Attributes:
        rows: which of the outputs it is made of.
        reduction: "mean" or "sum": of all elements of it.
        loss: the built-in loss of it; None: of the elements themselves.
        weight: in the total.
    """

    rows: int
    reduction: str
    loss: object
    weight: float


class StepSource(NamedTuple):
    """A user's own step, as it was followed.

    Attributes:
        graph: what it computes: the calls between the columns that it reads and its outputs.
        terms: what is minimised.
        dtype: element type to compute in.
        variables: what it trains.
        optimizer: by what; None: nothing is trained, and rows are computed.
    """

    graph: object
    terms: Sequence[StepTerm]
    dtype: str
    variables: Sequence[Variable]
    optimizer: object


class OwnSteps(NamedTuple):
    """Steps that a user wrote.

    Attributes:
        call: a step: reads variables and assigns to them, returns what the user's does.
        data: gives a batch as the user passed it, from its rows in each column.
        variables: those that it most likely touches.
    """

    call: Callable[[object], object]
    data: Callable[[Sequence[object]], object]
    variables: Sequence[Variable]


class OwnRunner(Protocol):
    """Runs steps that a user wrote, many in a call."""

    def prepare(self, chunk: Chunk) -> None:
        """Make ready for the steps of a chunk: run what the user wrote for each of their shapes.

        Raises:
            Exception: of any kind, if the steps cannot be run so; no variable is changed.
        """

    def run(self, chunk: Chunk) -> object:
        """The steps of a chunk, made ready for; what the last one returned."""

    def forget_data(self) -> None:
        """The data set that chunks came from is done with."""
