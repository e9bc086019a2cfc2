"""Steps that a subclass wrote anew: batches as the user passed them, and the session that calls.

Keras code has two styles. On TensorFlow ``train_step(self, data)`` changes variables; on JAX
``train_step(self, state, data)`` is handed their values and returns new ones. The number of
arguments tells them apart.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from densekit import engines
from densekit._core.boxes import unboxed
from densekit._core.engine import Chunk
from densekit._core.tensor import lend_all
from densekit._core.types import Logs
from densekit.data._feeds import ArrayFeed
from densekit.data._streams import Feed
from densekit.training._compiled import Compiled
from densekit.training._not_finite import FiniteWatch
from densekit.training._overrides import STEPS, has_own_step
from densekit.training._runtime import Runtime
from densekit.training._stateless import with_state
from densekit.training._step_data import BatchStructure
from densekit.training._step_follower import StepFollower

if TYPE_CHECKING:
    from densekit._core.engine_kind import EngineKind
    from densekit.training._model import TrainableModel
    from densekit.training._whole_steps import WholeSteps

_CHUNK_ROWS = 1 << 16  # of one call of an engine that compiles steps: then callbacks have a turn
_NUMBERS = frozenset({float, np.float32, np.float64})


class StepLoop:
    """A loop over the model's own step: the function of steps that is made for a model."""

    def __init__(self, model: TrainableModel, compiled: Compiled, mode: str) -> None:
        self.step: Callable[..., object] = getattr(model, STEPS[mode])
        self.is_stateless = is_stateless(self.step)
        self.follower: StepFollower | None = None
        if mode == "train":
            in_python = self._with_state if self.is_stateless else self.step
            self.follower = StepFollower(
                model, compiled, self.step, in_python, is_stateless=self.is_stateless
            )
        self._model, self._mode = model, mode
        self._by_engine: dict[str, Callable[..., object]] = {}
        self._whole: dict[str, list[tuple[object, WholeSteps]]] = {}  # and structure of the data

    def __call__(self, batches: Iterator[object]) -> object:
        results: object = None
        for data in batches:
            results = self._with_state(data) if self.is_stateless else self.step(data)
        return results

    def _with_state(self, data: object) -> object:
        return with_state(self._model, self._mode, self._compiled(), data)

    def whole(self, kind: EngineKind, data: BatchStructure) -> WholeSteps | None:
        """What has an engine compile many steps on such data; None: it does not."""
        model = self._model
        if not kind.compiles or model.run_eagerly or not model.jit_compile:
            return None
        from densekit.training._whole_steps import WholeSteps  # a first model does not wait

        known = self._whole.setdefault(kind.name, [])
        if any(steps.is_refused for _, steps in known):
            return None
        for structure, steps in known:
            if data.is_like(structure):
                return steps
        step = partial(with_state, model, self._mode, self.step)
        given = step if self.is_stateless else self.step
        found = WholeSteps(model, given, STEPS[self._mode], not self.is_stateless)
        known.append((data.structure(), found))
        return found

    def _compiled(self) -> Callable[..., object]:
        """The step as the model's engine runs it."""
        kind = engines.engine_kind()
        if kind.name not in self._by_engine:
            self._by_engine[kind.name] = kind.compiled(self.step)
        return self._by_engine[kind.name]


def why_in_python(model: object) -> str | None:
    """Why the model's own `train_step` runs in Python, "" if it does not; None: it has no such."""
    kind: type = type(model)
    if not has_own_step(kind, "train") or engines.engine_kind().compiles:
        return None
    function = vars(model).get("train_function")
    if getattr(model, "run_eagerly", False):
        return "`run_eagerly=True`"
    if type(function) is StepLoop:
        return None if function.follower is None else function.follower.reason
    return "it has not run yet" if function is None else "`make_train_function` is one of its own"


def is_stateless(step: Callable[..., object]) -> bool:
    """Whether a step takes ``(state, data)`` rather than ``(data)``."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(step).parameters.values()
    required = [p for p in parameters if p.kind in kinds and p.default is p.empty]
    return len(required) > 1


class StepSession:
    """What calls the steps that a user wrote: the counterpart of `Session`.

    Args:
        training: whether the steps train.
        watch: warns of losses that are not finite; None: nobody does.
    """

    def __init__(
        self,
        model: TrainableModel,
        runtime: Runtime,
        data: BatchStructure,
        training: bool,
        watch: FiniteWatch | None = None,
    ) -> None:
        self.watch = watch
        self._runtime = runtime
        self._model = model
        self._data = data
        mode = "train" if training else "test"
        getattr(model, f"make_{mode}_function")()
        self._function = getattr(model, f"{mode}_function")
        is_ours = type(self._function) is StepLoop
        self._follower: StepFollower | None = self._function.follower if is_ours else None
        self._may_compile = is_ours and runtime.kind.compiles
        self._logs: object = None

    def chunk_steps(self, feed: Feed) -> int:
        """Steps of one call of the function; of the engine, if it makes them."""
        steps = int(self._model.steps_per_execution)
        if isinstance(feed, ArrayFeed) and self._whole() is not None:
            return max(steps, _CHUNK_ROWS // feed.batch_size // steps * steps)
        if isinstance(feed, ArrayFeed) and self._follower is not None:
            columns = [*feed.sample.inputs, *feed.sample.targets, *feed.sample.weights]
            given = [c for c in columns if c is not None]
            followed = self._follower.fitting(self._data, given, feed.batch_size)
            if followed is not None:
                return max(steps, followed.chunk_steps(feed.batch_size) // steps * steps)
        return steps

    def ends(self) -> None:
        """The data set is done with."""
        whole = self._whole()
        if whole is not None:
            whole.forget_data()

    def _whole(self) -> WholeSteps | None:
        return self._function.whole(self._runtime.kind, self._data) if self._may_compile else None

    def run(self, chunk: Chunk, training: bool) -> None:
        """Run the steps of a chunk."""
        whole = self._whole()
        if whole is None:
            self._run_by_python(chunk)
        else:
            runtime, kind = self._runtime, self._runtime.kind
            self._logs = whole.run(chunk, kind, self._data, runtime.state(), self._run_by_python)
        if self.watch is not None and isinstance(self._logs, dict):
            for name, value in self._logs.items():
                if "loss" in name and (type(value) in _NUMBERS or np.ndim(value) == 0):
                    self.watch.look_at_last(chunk, float(value))

    def _run_by_python(self, chunk: Chunk) -> object:
        """What the last step of a chunk returned; each is called, or followed."""
        function, follower = self._function, self._follower
        with engines.inside(self._runtime.kind):
            if follower is not None:
                columns = self._data.columns_of(chunk)
                rows = min(chunk.batch_size, chunk.rows)
                followed = follower.fitting(self._data, columns, rows)
                if followed is not None:
                    self._logs, losses = followed.run(chunk, columns)
                    if self.watch is not None and any("loss" in n for n in followed.loss_names):
                        self.watch.look(chunk, losses)
                else:
                    for step in chunk.single_steps():
                        batch = self._data.batch(step)
                        self._logs = follower.run(self._data, step, columns, batch)
            elif len(chunk.picks) <= chunk.batch_size and type(function) is StepLoop:
                self._logs = function(iter((self._data.batch(chunk),)))
            else:
                self._logs = function(self._data.batches(chunk))
        return self._logs

    def logs(self, model: TrainableModel) -> Logs:
        """At the end of an epoch: the metrics, if they go by the names that the step gave; or its.

        So Keras has it: a step that gives its loss but updates no metric has 0 in `History`.
        """
        values: Logs = model.get_metrics_result()
        return by_step(self._logs, set(values)) or _plain_logs(values)

    def batch_logs(self, model: TrainableModel) -> Logs:
        """At the end of a batch: what its step returned."""
        return by_step(self._logs) or self.logs(model)


def by_step(logs: object, unless: object = None) -> Logs | None:
    """What a step returned, as callbacks are told; None: no dict, or its names are `unless`."""
    if not isinstance(logs, dict) or set(logs) == unless:
        return None
    values: Logs = {}
    for name, value in logs.items():
        values |= value if isinstance(value, dict) else {name: value}
    return _plain_logs(values)


def _plain_logs(values: Logs) -> Logs:
    return {name: plain(values[name]) for name in sorted(values)}


def plain(value: object) -> object:
    """A Python float; if it is no scalar the value itself, which no callback can change."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return lend_all(unboxed(value))
