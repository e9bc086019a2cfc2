"""The native engine as a value: what can be lowered runs in the core, the rest in Python."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from densekit._core.engine import Array, Engine, Index, LossTerm, RunQueue, Source
from densekit._core.native_form import NativeForm, native_form
from densekit._core.plan import NotLowerable
from densekit._core.variable import Variable
from densekit.engines import native, recording
from densekit.engines.lowering import lower_graph, lower_layer
from densekit.engines.on_host import lower_whole
from densekit.engines.plain_kind import PlainKind
from densekit.engines.plan import PlanBuilder
from densekit.engines.rounds import Rounds
from densekit.engines.side_by_side import NativeQueue
from densekit.engines.updates import NativeUpdates
from densekit.engines.weight_formulas import penalise_anew
from densekit.ops._formula_steps import Step

if TYPE_CHECKING:
    from densekit._core.engine_kind import EngineKind
    from densekit._core.own_step import StepSource
    from densekit._core.tapes import Program, Recorder, Updates

_MEMBERS_PER_THREAD = 4


class CoreKind(PlainKind):
    """A kind that leaves to the native core what is done outside of its own engines.

    These are calls inside tapes, formulas on what models gave, and single updates.
    """

    def recorder(self, source: Source, trainable: Sequence[Variable]) -> Recorder | None:
        """A recorder, if all of the model runs natively."""
        try:
            plan = plan_of(source)
        except NotLowerable:
            return None
        can_record = recording.Recorder.can_record(plan)
        return recording.Recorder(plan, list(trainable)) if can_record else None

    def layer_recorder(
        self, layer: Any, training: bool, input_shape: tuple[int, ...], input_dtype: str
    ) -> Recorder | None:
        """A recorder of one layer, if it runs natively."""
        dtype = layer.compute_dtype
        if dtype not in ("float32", "float64"):
            return None
        try:
            plan = lower_layer(layer, dtype, training, input_shape, input_dtype)
        except NotLowerable:
            return None
        can_record = recording.Recorder.can_record(plan)
        return recording.Recorder(plan, layer.trainable_variables) if can_record else None

    def updates(self, optimizer: Any, variables: Sequence[Variable]) -> Updates | None:
        """Steps by the kernels that train, if they know the optimizer and the types."""
        known = NativeUpdates.can_update(optimizer, variables)
        return NativeUpdates(optimizer, variables) if known else None

    def mean_loss(
        self,
        form: NativeForm,
        y_true: Array,
        y_pred: Array,
        divisor: float,
        weights: Array | None = None,
    ) -> tuple[float, Array] | None:
        """The sum of the rows' losses, divided, and its gradient, by the kernels."""
        return native.mean_loss(form.kind, list(form.parameters), y_true, y_pred, divisor, weights)

    def begin_formulas(self) -> None:
        """Have the core note them."""
        from densekit.engines.notes import note_natively  # a first model does not wait

        note_natively()

    def lowers_formula(self, steps: Sequence[Step]) -> bool:
        """Whether the steps have a native form."""
        from densekit.engines.formula_lowering import Lowered, can_lower
        from densekit.engines.whole_formulas import LoweredWhole  # a first model does not wait

        return can_lower(steps, Lowered) or can_lower(steps, LoweredWhole)

    def formula(self, steps: Sequence[Step]) -> Program | None:
        """A native program."""
        from densekit.engines.formulas import FormulaProgram
        from densekit.engines.whole_formulas import WholeFormula

        for program in (FormulaProgram, WholeFormula):
            with suppress(NotLowerable):
                return program(steps)
        return None

    def permutation(self, key: int, counter: int, n: int, block: int) -> Index:
        """``range(n)``, shuffled inside every `block`."""
        return native.permutation(key, counter, n, block)


class NativeKind(CoreKind):
    """Makes `NativeEngine`s."""

    name = "native"

    def make(
        self,
        source: Source,
        trainable: Sequence[Variable] = (),
        losses: Sequence[LossTerm] = (),
        optimizer: Any = None,
    ) -> Engine:
        """An engine: see `EngineKind.make`."""
        plan = plan_of(source)
        if optimizer is not None:
            penalise_anew(plan)
        if any(native_form(term.loss) is None for term in losses):
            from densekit.engines.own_losses import lower_losses  # seldom: a first model waits

            lower_losses(plan, losses)
        return native.NativeEngine(plan, trainable, losses, optimizer)

    def own_step(self, source: StepSource) -> Engine | None:
        """The step as a plan, if all of it runs natively."""
        from densekit.engines.own_steps import step_engine  # a first model does not wait

        return step_engine(source)

    @property
    def members_at_once(self) -> int:
        """So many that a thread seldom waits for Python."""
        return _MEMBERS_PER_THREAD * native.get_threads()

    def why_alone(self, engine: Engine) -> str | None:
        """A plan that calls Python does so on the thread that runs it."""
        if isinstance(engine, native.NativeEngine) and not engine.asks_host:
            return None
        return "parts of the model run in Python"

    def run_queue(self) -> RunQueue:
        """Each run on a thread of its own; in turns if there is only one thread."""
        threads = native.get_threads()
        return NativeQueue(threads) if threads > 1 else Rounds()


def plan_of(source: Source) -> PlanBuilder:
    """The plan of a model: of its graph, or of its whole call as one host node."""
    if source.graph is not None:
        shapes = [shape for shape, _ in source.inputs]
        try:
            return lower_graph(source.graph, source.dtype, source.training, shapes)
        except NotLowerable:
            pass
    return lower_whole(source)


ENGINE: EngineKind = NativeKind()
