"""The JAX engine as a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from densekit._core.dtypes import STRING
from densekit._core.engine import Engine, LossTerm, RunQueue, Source
from densekit._core.variable import Variable
from densekit.engines import native_kind
from densekit.engines.jax.compiled_step import CompiledStep
from densekit.engines.jax.engine import JaxEngine
from densekit.engines.jax.own_steps import OwnLoop
from densekit.engines.jax.side_by_side import run_together
from densekit.engines.rounds import Rounds

if TYPE_CHECKING:
    from densekit._core.engine_kind import EngineKind
    from densekit._core.own_step import OwnRunner, OwnSteps

_MEMBERS = 1 << 10


class JaxKind(native_kind.CoreKind):
    """Makes `JaxEngine`s. Tapes and single updates outside of `fit` run on the processor."""

    name = "jax"

    def make(
        self,
        source: Source,
        trainable: Sequence[Variable] = (),
        losses: Sequence[LossTerm] = (),
        optimizer: object = None,
    ) -> Engine:
        """An engine: see `EngineKind.make`. Strings, which JAX does not know, stay here."""
        plan = native_kind.plan_of(source)
        kinds = {kind for _, kind in source.inputs} | {y.dtype for y in plan.outputs}
        if STRING in kinds:
            return native_kind.ENGINE.make(source, trainable, losses, optimizer)
        return JaxEngine(self, source, plan, trainable, losses, optimizer)

    @property
    def members_at_once(self) -> int:
        """As many as a device likes to have; each takes the memory of its weights and batches."""
        return _MEMBERS

    def why_alone(self, engine: Engine) -> str | None:
        """What only tracing would tell to be equal, or different, runs alone."""
        if isinstance(engine, JaxEngine):
            return None if engine.signature is not None else "it has parts of the user's making"
        return native_kind.ENGINE.why_alone(engine)

    def run_queue(self) -> RunQueue:
        """Those that compute the same formula on the same rows by one loop over all of them."""
        return Rounds(run_together)

    @property
    def compiles(self) -> bool:
        """Steps of users."""
        return True

    def own_steps(self, steps: OwnSteps) -> OwnRunner | None:
        """What compiles them."""
        return OwnLoop(self, steps)

    def compiled(self, step: Callable[..., object]) -> Callable[..., object]:
        """The function, compiled; one that cannot be traced runs as it is, and that is said."""
        return CompiledStep(step)


ENGINE: EngineKind = JaxKind()
