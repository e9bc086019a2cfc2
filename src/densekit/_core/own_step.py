"""What an engine is told of a step that a user wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from densekit._core.variable import Variable


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
        optimizer: by what.
    """

    graph: object
    terms: Sequence[StepTerm]
    dtype: str
    variables: Sequence[Variable]
    optimizer: object
