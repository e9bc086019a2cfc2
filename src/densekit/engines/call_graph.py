"""What an engine is handed of a model: its calls. `models` has the graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from densekit.ops import KerasTensor
from densekit.ops._symbolic import Node


class Calls(Protocol):
    """Calls in an order in which they can run."""

    @property
    def nodes(self) -> Sequence[Node]:
        """The calls."""

    @property
    def flags_yield(self) -> bool:
        """Whether `training` flags hold only while the model itself is told nothing."""


class CallGraph(Calls, Protocol):
    """The calls inside a model, between symbolic tensors."""

    @property
    def inputs(self) -> Sequence[KerasTensor]:
        """Leaves of the inputs."""

    @property
    def outputs(self) -> Sequence[KerasTensor]:
        """Leaves of the outputs."""

    @property
    def in_training(self) -> CallGraph | None:
        """The calls of training, where these are others."""

    def in_order(self, given: object) -> Sequence[KerasTensor] | None:
        """The leaves of what a call is handed, in the order of `inputs`; None if it has others."""

    @property
    def losses(self) -> Sequence[KerasTensor]:
        """What the calls add to the loss."""
