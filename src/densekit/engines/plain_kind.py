"""The base of kinds that make engines and leave all else to Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from densekit._core import seeds
from densekit._core.engine import Array, Engine, Index, LossTerm, RunQueue, Source
from densekit._core.native_form import NativeForm
from densekit._core.variable import Variable
from densekit.engines.rounds import Rounds
from densekit.ops._formula_steps import Step

if TYPE_CHECKING:
    from densekit._core.own_step import OwnRunner, OwnSteps, StepSource
    from densekit._core.tapes import Program, Recorder, Updates


class PlainKind:
    """An `EngineKind` but for its name and `make`.

    Tapes, formulas, updates and steps outside of `fit` are answered with None: definitions do them.
    """

    name: str

    def make(
        self,
        source: Source,
        trainable: Sequence[Variable] = (),
        losses: Sequence[LossTerm] = (),
        optimizer: object = None,
    ) -> Engine:
        """An engine: see `EngineKind.make`."""
        raise NotImplementedError

    def recorder(self, source: Source, trainable: Sequence[Variable]) -> Recorder | None:
        """None: tapes record the definition."""
        return None

    def layer_recorder(
        self, layer: object, training: bool, input_shape: tuple[int, ...], input_dtype: str
    ) -> Recorder | None:
        """None: tapes record the definition."""
        return None

    def updates(self, optimizer: object, variables: Sequence[Variable]) -> Updates | None:
        """None: `Optimizer.update_step` is the definition."""
        return None

    def mean_loss(
        self,
        form: NativeForm,
        y_true: Array,
        y_pred: Array,
        divisor: float,
        weights: Array | None = None,
    ) -> tuple[float, Array] | None:
        """None: tapes record the definition."""
        return None

    def begin_formulas(self) -> None:
        """Nothing: they are noted in Python."""

    def lowers_formula(self, steps: Sequence[Step]) -> bool:
        """False: formulas are computed op by op."""
        return False

    def formula(self, steps: Sequence[Step]) -> Program | None:
        """None: formulas are computed op by op."""
        return None

    def own_step(self, source: StepSource) -> Engine | None:
        """None: steps are made in Python, or compiled."""
        return None

    def compiled(self, step: Callable[..., object]) -> Callable[..., object]:
        """The function as it is."""
        return step

    @property
    def compiles(self) -> bool:
        """No step of users."""
        return False

    def own_steps(self, steps: OwnSteps) -> OwnRunner | None:
        """None: Python calls them."""
        return None

    def permutation(self, key: int, counter: int, n: int, block: int) -> Index:
        """``range(n)``, shuffled inside every `block`."""
        return seeds.permutation(key, counter, n, block)

    @property
    def members_at_once(self) -> int:
        """One: they are trained one after the other."""
        return 1

    def why_alone(self, engine: Engine) -> str | None:
        """Its runs are made one after the other."""
        return f"models on the engine {self.name!r} are trained one after the other"

    def run_queue(self) -> RunQueue:
        """One after the other."""
        return Rounds()
