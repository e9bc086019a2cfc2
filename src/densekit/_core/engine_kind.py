"""Kinds of engines: what a model knows of the way in which it is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from densekit._core.engine import Engine, Index, LossTerm, RunQueue, Source
from densekit._core.native_form import NativeForm
from densekit._core.own_step import OwnRunner, OwnSteps, StepSource
from densekit._core.tapes import Program, Recorder, Updates
from densekit._core.types import Array
from densekit._core.variable import Variable


class EngineKind(Protocol):
    """One way to compute, as a value: makes engines."""

    @property
    def name(self) -> str:
        """What `compile` and `config.set_engine` call it."""

    def make(
        self,
        source: Source,
        trainable: Sequence[Variable] = (),
        losses: Sequence[LossTerm] = (),
        optimizer: Any = None,
    ) -> Engine:
        """An engine.

        Args:
            source: what to compute.
            trainable: variables to train, in the optimizer's order; their penalties count.
            losses: what to minimise; none to predict only.
            optimizer: a built optimizer; None unless it trains.

        Raises:
            NotLowerable: if the outputs are not one row for each row of the inputs.
        """

    def recorder(self, source: Source, trainable: Sequence[Variable]) -> Recorder | None:
        """A recorder; None where only the definition will do."""

    def layer_recorder(
        self, layer: Any, training: bool, input_shape: tuple[int, ...], input_dtype: str
    ) -> Recorder | None:
        """A recorder of a layer outside of models; None where only the definition will do."""

    def updates(self, optimizer: Any, variables: Sequence[Variable]) -> Updates | None:
        """What makes the steps of a built optimizer; None where its definition must do."""

    def mean_loss(
        self,
        form: NativeForm,
        y_true: Array,
        y_pred: Array,
        divisor: float,
        weights: Array | None = None,
    ) -> tuple[float, Array] | None:
        """The sum of the rows' losses, divided, and its gradient; None: by the definition.

        Args:
            weights: what each row counts for; None: 1.
        """

    def begin_formulas(self) -> None:
        """Get ready to note the formulas of tapes."""

    def lowers_formula(self, steps: Sequence[Any]) -> bool:
        """Whether `formula` may give a program for these steps, or more of them.

        They are those of `ops/_formula_steps.py`.
        """

    def formula(self, steps: Sequence[Any]) -> Program | None:
        """What runs a formula on what models gave; None: by its ops, one after the other."""

    def own_step(self, source: StepSource) -> Engine | None:
        """An engine whose runs make a user's own steps; None: they are made in Python."""

    def compiled(self, step: Callable[..., object]) -> Callable[..., object]:
        """A function without side effects as this engine runs it: of values, giving values."""

    @property
    def compiles(self) -> bool:
        """Whether `own_steps` may give anything."""

    def own_steps(self, steps: OwnSteps) -> OwnRunner | None:
        """What runs steps that a user wrote; None: Python calls one after the other."""

    def permutation(self, key: int, counter: int, n: int, block: int) -> Index:
        """``range(n)``, shuffled inside every `block`: `_core.seeds.permutation`."""

    @property
    def members_at_once(self) -> int:
        """How many models `fit_many` keeps at work: more hold more memory and gain nothing."""

    def why_alone(self, engine: Engine) -> str | None:
        """Why the runs of one of its engines are not made side by side; None: they are."""

    def run_queue(self) -> RunQueue:
        """What runs models side by side."""
