"""The JAX engine as a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from densekit._core.dtypes import STRING
from densekit._core.engine import Engine, EngineKind, Lane, LossTerm, Source
from densekit._core.variable import Variable
from densekit.engines import kinds, native_kind
from densekit.engines.jax.compiled_step import CompiledStep
from densekit.engines.jax.engine import JaxEngine


class JaxKind(native_kind.NativeKind):
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
            return super().make(source, trainable, losses, optimizer)
        return JaxEngine(self, source, plan, trainable, losses, optimizer)

    def why_alone(self, engine: Engine) -> str | None:
        """Models on JAX run one at a time."""
        if isinstance(engine, JaxEngine):
            return "the engine 'jax' runs one model at a time"
        return super().why_alone(engine)

    def lane(self) -> Lane:
        """One after the other."""
        return kinds.Rounds()

    def compiled(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """The function, compiled; one that cannot be traced runs as it is, and that is said."""
        return CompiledStep(step)


ENGINE: EngineKind = JaxKind()
