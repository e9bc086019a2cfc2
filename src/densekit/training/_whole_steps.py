"""`WholeSteps`: steps that users wrote, run by the engine many at a time where it can.

A step that is compiled runs once in Python, when it is traced. So the first two run as they are,
which builds what is to be built, and shows what the step keeps in Python.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

import numpy as np

from densekit._core.engine import Chunk
from densekit._core.frames import warn
from densekit._core.kept import Kept
from densekit._core.own_step import OwnSteps
from densekit._core.variable import Variable
from densekit.optimizers import Optimizer
from densekit.optimizers.schedules import LearningRateSchedule
from densekit.training._run_metrics import LossMean
from densekit.training._step_data import BatchStructure

if TYPE_CHECKING:
    from densekit._core.engine_kind import EngineKind
    from densekit._core.own_step import OwnRunner
    from densekit.training._model import TrainableModel

_TRIALS = 2
_MOST_TRACES = 4  # for attributes that change between two calls of the engine
_OURS = (
    "history",
    "train_function",
    "test_function",
    "predict_function",
    "stop_training",
    "stop_evaluating",
    "stop_predicting",
)


class WholeSteps:
    """The steps of one model in one mode.

    Args:
        step: what the user wrote, on a batch: reads variables, assigns to them.
        name: of the method.
        trials: whether it may have effects in Python.
    """

    def __init__(
        self, model: TrainableModel, step: Callable[[object], object], name: str, trials: bool
    ) -> None:
        self._model, self._step, self._name = model, step, name
        self._trials = _TRIALS if trials else 0  # still to be made
        self._has_effects = trials
        self._runner: OwnRunner | None = None
        self._kept: Kept | None = None  # of the latest trace
        self._state: object = None
        self._traces = 0
        self._works = False
        self.is_refused = False

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_runner": None, "_kept": None, "_state": None}

    def run(
        self,
        chunk: Chunk,
        kind: EngineKind,
        data: BatchStructure,
        state: object,
        by_python: Callable[[Chunk], object],
    ) -> object:
        """The steps of a chunk; what the last one returned.

        Args:
            state: equal as long as the model's layers and what trains are the same.
            by_python: runs steps as they are.
        """
        logs: object = None
        rest: Chunk | None = chunk
        while rest is not None and self._trials and not self.is_refused:
            first, rest = _split(rest)
            logs = self._try(first, by_python)
        if rest is None:
            return logs
        if not self.is_refused:
            self._make_ready(kind, data, state)
        runner = self._runner
        if self.is_refused or runner is None:
            return by_python(rest)
        given = rest._replace(inputs=data.columns_of(rest), targets=[], weights=[])
        kept = self._kept if self._has_effects or self._works else _kept(self._model, False)
        try:
            runner.prepare(given)
        except Exception as error:
            if kept is not None:
                kept.put_back()
            self._refuse(str(error).split("\n", 1)[0], is_said=self._has_effects)
            return by_python(rest)
        if kept is not None:  # attributes that a trace has set are of no use outside of it
            kept.put_back()
        logs = runner.run(given)
        self._works = True
        for metric in self._model.metrics:
            if isinstance(metric, LossMean):
                metric.forget_sums()
        return logs

    def forget_data(self) -> None:
        """The data set that chunks came from is done with."""
        if self._runner is not None:
            self._runner.forget_data()

    def _try(self, chunk: Chunk, by_python: Callable[[Chunk], object]) -> object:
        """A step as it is; what it changes in Python beside variables keeps it from compiling."""
        kept, draws = _kept(self._model, True), _draws()
        logs = by_python(chunk)
        self._trials -= 1
        if not self._trials:
            changed = [*kept.changed(), *_changed(draws, _draws())]
            if changed:
                self._refuse(f"it changes `{changed[0]}` in Python")
        return logs

    def _make_ready(self, kind: EngineKind, data: BatchStructure, state: object) -> None:
        is_known = self._kept is None or not self._kept.changed()
        if self._runner is not None and state == self._state and is_known:
            return
        self._kept = _kept(self._model, True) if self._has_effects else None
        self._state, self._works = state, False
        self._traces += 1
        if self._traces > _MOST_TRACES:
            return self._refuse("it reads attributes that change between two epochs")
        for optimizer in _optimizers(self._model):
            rate = optimizer._learning_rate
            if callable(rate) and not isinstance(rate, Variable | LearningRateSchedule):
                return self._refuse("its optimizer asks Python for the learning rate")
        self._runner = kind.own_steps(OwnSteps(self._step, data.packed, _variables(self._model)))
        if self._runner is None:
            self.is_refused = True
        return None

    def _refuse(self, reason: str, is_said: bool = True) -> None:
        self.is_refused, self._runner = True, None
        if is_said:
            warn(f"{self._name} cannot be compiled and runs uncompiled: {reason}")


def _split(chunk: Chunk) -> tuple[Chunk, Chunk | None]:
    """The first step of a chunk, and the rest."""
    n = chunk.batch_size
    first = next(chunk.single_steps())
    if len(chunk.picks) <= n:
        return first, None
    rest = chunk._replace(
        first_step=chunk.first_step + 1,
        picks=chunk.picks[n:],
        start=None if chunk.start is None else chunk.start + n,
        source=None if chunk.source is None else chunk.source[n:],
    )
    return first, rest


def _variables(model: TrainableModel) -> list[Variable]:
    optimizers = [v for optimizer in _optimizers(model) for v in optimizer.variables]
    own = [*model.trainable_variables, *model.non_trainable_variables]
    return [*own, *optimizers, *model.metrics_variables]


def _optimizers(model: TrainableModel) -> list[Optimizer]:
    found = [v for v in vars(model).values() if isinstance(v, Optimizer)]
    if isinstance(model.optimizer, Optimizer):
        found.append(model.optimizer)
    return list({id(optimizer): optimizer for optimizer in found}.values())


def _draws() -> dict[str, object]:
    """Where the generators of Python and NumPy are."""
    numpy = np.random.get_state(legacy=False)
    return {"random": hash(random.getstate()), "np.random": repr((numpy, numpy["state"]))}


def _changed(before: dict[str, object], after: dict[str, object]) -> list[str]:
    return [name for name in before if before[name] != after[name]]


def _kept(model: TrainableModel, code: bool) -> Kept:
    """What the model and its layers hold, and what their methods name."""
    return Kept(model._dk_flatten_layers(), _is_ours, code)


def _is_ours(name: Hashable) -> bool:
    return name in _OURS or str(name).startswith("_dk_")
