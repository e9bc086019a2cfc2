"""Whether the steps that a user wrote are made by an engine, in place of Python.

Some steps run in Python first. Then the step is followed, once; some steps are made both ways, each
from the same state, and only if all numbers are the same does the engine go on: in one step they
may be so by chance. Where a plan adds in another order than Python, they are so up to rounding.
What it was followed from is looked at before each chunk of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import FunctionType, MethodType
from typing import TYPE_CHECKING

import numpy as np

from densekit._core import settings
from densekit._core.boxes import unboxed
from densekit._core.engine import Chunk
from densekit._core.plan import NotLowerable
from densekit._core.types import Array
from densekit._core.variable import Variable
from densekit.optimizers._asked_once import rates_asked_once
from densekit.training._compiled import Compiled
from densekit.training._run_metrics import parts_of
from densekit.training._step_data import BatchStructure

if TYPE_CHECKING:
    from densekit.training._followed_step import FollowedStep
    from densekit.training._model import TrainableModel

# To follow a step takes as long as some hundred steps of a small model.
FIRST_STEPS = 16
TRIED_STEPS, TRIED_ROWS = 16, 64  # at least: made both ways
_MOST_TRIES = 4
_ROUNDING = 1e-3  # of what a step changes, where it is summed in another order
_MOST_BYTES = 1 << 28  # of weights and state, which are kept twice while a step is tried


class StepFollower:
    """Finds out for the steps of one model.

    Args:
        step: the model's method.
        in_python: makes a step of a batch.
        is_stateless: whether the method is handed values of variables, and returns new ones.
    """

    def __init__(
        self,
        model: TrainableModel,
        compiled: Compiled,
        step: Callable[..., object],
        in_python: Callable[[object], object],
        is_stateless: bool,
    ) -> None:
        self.reason = "its first steps run in Python"
        self._model, self._compiled, self._method = model, compiled, step
        self._step, self._is_stateless = in_python, is_stateless
        self._steps = 0  # that ran in Python
        self._tries = 0
        self._followed: FollowedStep | None = None
        self._on_trial: FollowedStep | None = None
        self._tried: list[int] = []  # rows of each step that was made both ways
        self._structure: object = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_followed": None, "_on_trial": None}

    def fitting(
        self, data: BatchStructure, columns: Sequence[Array], rows: int
    ) -> FollowedStep | None:
        """What makes the next steps, of so many rows; None: Python does."""
        followed = self._followed
        if followed is None or self._model.run_eagerly:
            return None
        if max(self._tried) == 1 < rows:  # of one row all reductions agree
            self._followed, self.reason = None, "it was tried with one row only"
            return None
        if not (followed.takes(columns) and data.is_like(self._structure)):
            return None
        if followed.holds():
            return followed
        self._followed = None
        self.reason = "what it depends on has changed"
        return None

    def run(
        self, data: BatchStructure, chunk: Chunk, columns: Sequence[Array], batch: object
    ) -> object:
        """What a step in Python returns; when its time has come an engine tries the same."""
        if self._on_trial is not None:
            followed, self._on_trial = self._on_trial, None
            if followed.takes(columns) and data.is_like(self._structure) and followed.holds():
                return self._try(followed, chunk, columns, batch)
        self._steps += 1
        due = FIRST_STEPS << 2 * self._tries
        if self._steps <= due or self._tries == _MOST_TRIES or self._model.run_eagerly:
            return self._step(batch)
        self._tries += 1
        self._steps = 0
        try:
            followed = self._follow(data, chunk)
        except NotLowerable as why:
            self.reason, self._tries = str(why), _MOST_TRIES
            return self._step(batch)
        except Exception as error:  # what Python meets it meets in the step
            self.reason, self._tries = f"it cannot be followed: {error}", _MOST_TRIES
            return self._step(batch)
        self._tried, self._structure = [], data.structure()
        return self._try(followed, chunk, columns, batch)

    def _follow(self, data: BatchStructure, chunk: Chunk) -> FollowedStep:
        step = self._method
        if not isinstance(step, MethodType) or not isinstance(step.__func__, FunctionType):
            raise NotLowerable("it is no plain method")
        if step.__self__ is not self._model or settings.get("distribution") is not None:
            raise NotLowerable("it is no method of the model, or runs on several devices")
        from densekit.training._followed_step import FollowedStep  # a first model does not wait

        return FollowedStep(
            self._model, self._compiled, step.__func__, data, chunk, self._is_stateless
        )

    def _try(
        self,
        followed: FollowedStep,
        chunk: Chunk,
        columns: Sequence[Array],
        batch: object,
    ) -> object:
        state = followed.state()
        if sum(v.array.nbytes for v in state) > _MOST_BYTES:
            self.reason, self._tries = "its weights are too large to be copied", _MOST_TRIES
            return self._step(batch)
        before = _copies(state)
        metrics = parts_of(self._model.metrics)
        sums = [metric._dk_exact_sums() for metric in metrics]
        told: object = None
        made: list[Array] = []
        with ExitStack() as asked:
            for optimizer in {id(o): o for o in followed.optimizers}.values():
                asked.enter_context(rates_asked_once(optimizer))
            try:
                told = followed.run(chunk, columns)[0]
                made = _copies(state)
            except Exception:  # Python meets it, too, or need not
                told = None
            finally:
                for variable, value in zip(state, before, strict=True):
                    variable.assign(value)
                for metric, known in zip(metrics, sums, strict=True):
                    metric._dk_set_exact_sums(known)
            logs = self._step(batch)
        same = told is not None and _are_alike(told, logs)
        after = zip(before, made, (v.array for v in state), strict=True)
        if not same or not all([_moves_alike(*values) for values in after]):
            self.reason, self._tries = "the engine computes other numbers", _MOST_TRIES
        elif followed.holds():
            self._tried.append(chunk.rows)
            if len(self._tried) < TRIED_STEPS or sum(self._tried) < TRIED_ROWS:
                self._on_trial, self.reason = followed, "its steps are still made both ways"
            else:
                self._followed, self.reason = followed, ""
        else:
            self.reason = "a step changes what it depends on"
        return logs


def _copies(state: Sequence[Variable]) -> list[Array]:
    return [np.array(v.array) for v in state]


def _are_alike(told: object, logs: object) -> bool:
    """Whether two steps return the same names, and numbers that differ by rounding at most."""
    if isinstance(told, Mapping) and isinstance(logs, Mapping):
        return [*told] == [*logs] and all(_are_alike(told[name], logs[name]) for name in told)
    one, other = np.asarray(unboxed(told)), np.asarray(unboxed(logs))
    if one.tobytes() == other.tobytes():
        return True
    numbers = one.dtype.kind == other.dtype.kind == "f" and one.shape == other.shape
    return numbers and np.allclose(one, other, _ROUNDING, _ROUNDING)


def _moves_alike(before: Array, made: Array, after: Array) -> bool:
    """Whether a variable has moved as in Python, up to what another order of sums rounds.

    In the mean: an optimizer that divides gradients by their size makes the rounding of the least
    ones large.
    """
    if made.tobytes() == after.tobytes():
        return True
    if after.dtype not in (np.float32, np.float64):
        return False
    was, one, other = (x.astype(np.float64) for x in (before, made, after))
    epsilon = float(np.finfo(after.dtype).eps)
    most = _ROUNDING * np.sqrt(np.mean((other - was) ** 2))
    most += 4 * epsilon * np.sqrt(np.mean(other**2))
    return bool(np.sqrt(np.mean((one - other) ** 2)) <= most)
