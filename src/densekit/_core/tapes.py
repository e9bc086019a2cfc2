"""What an engine does inside and after tapes: record calls, run formulas, apply gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from densekit._core.types import Array, Real
from densekit._core.variable import Variable


class Recorded(Protocol):
    """A call that can be taken back."""

    def gradients(
        self, d_outputs: Sequence[Array | None]
    ) -> tuple[Sequence[Array], Sequence[Array]]:
        """Of variables, and of inputs as flat rows, from those of the outputs."""


class Recorder(Protocol):
    """Calls inside tapes: each can be taken back later."""

    @property
    def variables(self) -> list[Variable]:
        """What gradients are given by, before the inputs."""

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        """Shape of one sample of each input."""

    def seed_states(self) -> list[tuple[Variable, Array]]:
        """The states of the seed generators as they are now."""

    def record(
        self, inputs: list[Array], training: bool, input_gradients: bool
    ) -> tuple[Recorded, list[Array]]:
        """All rows as one batch: the way back, and the outputs."""


class Updates(Protocol):
    """Steps of an optimizer by gradients that a user computed."""

    @property
    def engine(self) -> str:
        """Name of the engine."""

    @property
    def variables(self) -> list[Variable]:
        """What it updates."""

    def fits(self, optimizer: object) -> bool:
        """Whether what it was made from is still the same."""

    def apply(self, optimizer: object, gradients: list[Array]) -> None:
        """One step; the variables and the optimizer's count move on."""

    def apply_like(self, optimizer: object, gradients: list[Array]) -> bool:
        """The same if each gradient has type and shape of its variable; else nothing, and False."""


class Program(Protocol):
    """A formula ready to run."""

    @property
    def recorded(self) -> Sequence[int]:
        """Places of what models gave."""

    def run(
        self, values: dict[int, Array], numbers: dict[int, Real]
    ) -> tuple[object, dict[int, Array]]:
        """Its value, and by place the gradients of what models gave.

        What single numbers it meets on its way goes into `numbers`, by place.
        """
