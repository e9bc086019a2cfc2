"""Steps that a subclass wrote anew: batches as the user passed them, and the session that calls.

Keras code has two styles. On TensorFlow ``train_step(self, data)`` changes variables; on JAX
``train_step(self, state, data)`` is handed their values and returns new ones. The number of
arguments tells them apart.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from densekit import engines
from densekit._core import settings, tree
from densekit._core.boxes import unboxed
from densekit._core.dtypes import to_numpy_dtype
from densekit._core.engine import Chunk
from densekit._core.errors import message
from densekit._core.tensor import lend_all
from densekit._core.text import as_strings, holds_text
from densekit._core.types import Logs
from densekit._core.variable import Variable
from densekit.data._arrays import as_array
from densekit.data._columns import Columns
from densekit.data._streams import Feed
from densekit.training._not_finite import FiniteWatch
from densekit.training._overrides import STEPS
from densekit.training._run_metrics import LossMean
from densekit.training._runtime import Runtime

if TYPE_CHECKING:
    from densekit.training._model import TrainableModel

_NUMBERS = frozenset({float, np.float32, np.float64})


class StepLoop:
    """A loop over the model's own step: the function of steps that is made for a model."""

    def __init__(self, model: TrainableModel, mode: str) -> None:
        self.step: Callable[..., object] = getattr(model, STEPS[mode])
        self.is_stateless = is_stateless(self.step)
        self._model, self._mode = model, mode
        self._by_engine: dict[str, Callable[..., object]] = {}

    def __call__(self, batches: Iterator[object]) -> object:
        results: object = None
        for data in batches:
            if self.is_stateless:
                results = _with_state(self._model, self._mode, self._compiled(), data)
            else:
                results = self.step(data)
        return results

    def _compiled(self) -> Callable[..., object]:
        """The step as the model's engine runs it."""
        kind = engines.engine_kind()
        if kind.name not in self._by_engine:
            self._by_engine[kind.name] = kind.compiled(self.step)
        return self._by_engine[kind.name]


def is_stateless(step: Callable[..., object]) -> bool:
    """Whether a step takes ``(state, data)`` rather than ``(data)``."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(step).parameters.values()
    required = [p for p in parameters if p.kind in kinds and p.default is p.empty]
    return len(required) > 1


def _state_of(model: TrainableModel, mode: str) -> list[list[Variable]]:
    """The variables of a state, list by list."""
    lists = [model.trainable_variables, model.non_trainable_variables]
    if mode == "train":
        lists.append(model.optimizer.variables if model.optimizer is not None else [])
    if mode != "predict":
        lists.append(model.metrics_variables)
    return lists


def _with_state(
    model: TrainableModel, mode: str, step: Callable[..., object], data: object
) -> object:
    """The result of a step without side effects, whose new state goes to the variables."""
    lists = _state_of(model, mode)
    state = tuple([v.numpy() for v in variables] for variables in lists)
    result = step(state, data)
    if not (isinstance(result, tuple) and len(result) == 2 and len(result[1]) == len(lists)):
        raise ValueError(
            message(
                f"{type(model).__name__}.{STEPS[mode]}",
                f"`(logs, state)` with a state of {len(lists)} lists",
                type(result).__name__,
                "Return the new values of all that was handed in.",
            )
        )
    logs, after = result
    for variables, values in zip(lists, after, strict=True):
        if len(variables) != len(values):
            raise ValueError(
                message(
                    f"{type(model).__name__}.{STEPS[mode]}",
                    f"{len(variables)} values",
                    f"{len(values)}",
                    "Return one value for each variable.",
                )
            )
        for variable, value in zip(variables, values, strict=True):
            variable.assign(np.asarray(unboxed(value)))
    for metric in model.metrics:
        if isinstance(metric, LossMean):
            metric.forget_sums()
    return logs


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
        self._logs: object = None

    def chunk_steps(self, feed: Feed) -> int:
        """Steps of one call of the function."""
        return int(self._model.steps_per_execution)

    def ends(self) -> None:
        """Nothing is kept."""

    def run(self, chunk: Chunk, training: bool) -> None:
        """Run the steps of a chunk."""
        function = self._function
        with engines.inside(self._runtime.kind):
            if len(chunk.picks) <= chunk.batch_size and type(function) is StepLoop:
                data = self._data.batch(chunk)
                if function.is_stateless:
                    self._logs = function(iter((data,)))
                else:
                    self._logs = function.step(data)
            else:
                self._logs = function(self._data.batches(chunk))
        if self.watch is not None and isinstance(self._logs, dict):
            for name, value in self._logs.items():
                if "loss" in name and (type(value) in _NUMBERS or np.ndim(value) == 0):
                    self.watch.look_at_last(chunk, float(value))

    def logs(self, model: TrainableModel) -> Logs:
        """The values of the metrics, if they go by the names of what the step returned; or that."""
        values: Logs = model.get_metrics_result()
        if isinstance(self._logs, dict) and set(self._logs) != set(values):
            values = {}
            for name, value in self._logs.items():
                values |= value if isinstance(value, dict) else {name: value}
        return {name: plain(values[name]) for name in sorted(values)}


def plain(value: object) -> object:
    """A Python float; if it is no scalar the value itself, which no callback can change."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return lend_all(unboxed(value))


class BatchStructure:
    """Takes data apart into columns, and puts batches together as the user structured them.

    Args:
        text: whether inputs may hold strings.
    """

    def __init__(self, text: bool = False) -> None:
        self._text = text
        self._structures: list[object] = [None, None, None]
        self._floatx: np.dtype[np.generic] | None = None
        self._is_bare = False  # one array and its targets

    def columns(self, x: object, y: object, sample_weight: object) -> Columns:
        """Columns of a feed: flat lists of arrays."""
        given = [x, y, sample_weight]
        self._structures = given
        self._floatx = to_numpy_dtype(settings.floatx())
        self._is_bare = sample_weight is None and not any(
            part is None or tree.is_nested(part) for part in (x, y)
        )
        names = ("x", "y", "sample_weight")
        parts = [
            [] if part is None else [self._column(leaf, name) for leaf in tree.flatten(part)]
            for part, name in zip(given, names, strict=True)
        ]
        return Columns(parts[0], [*parts[1]], [*parts[2]])

    def _column(self, leaf: object, name: str) -> Any:
        if self._text and name == "x" and holds_text(leaf):
            return as_strings(leaf, "`x`")
        return as_array(leaf, name)

    def batches(self, chunk: Chunk) -> Iterator[object]:
        """The batches of a chunk, one for each step."""
        columns = (chunk.inputs, chunk.targets, chunk.weights)
        for start in range(0, len(chunk.picks), chunk.batch_size):
            picks = chunk.picks[start : start + chunk.batch_size]
            first = None if chunk.start is None else chunk.start + start
            yield self._batch(columns, picks, first)

    def batch(self, chunk: Chunk) -> Any:
        """The only batch of a chunk."""
        if not self._is_bare:
            columns = (chunk.inputs, chunk.targets, chunk.weights)
            return self._batch(columns, chunk.picks, chunk.start)
        picks, first = chunk.picks, chunk.start
        floatx = self._floatx
        x, y = chunk.inputs[0], chunk.targets[0]
        return _rows(x, picks, first, floatx), _rows(y, picks, first, floatx)

    def _batch(self, columns: Sequence[Any], picks: Any, first: int | None) -> Any:
        parts: list[Any] = []
        for structure, leaves in zip(self._structures, columns, strict=True):
            if structure is None:
                break
            rows = [_rows(leaf, picks, first, self._floatx) for leaf in leaves]
            parts.append(tree.pack_as(structure, rows))
        if len(parts) == 1 and not isinstance(parts[0], list | tuple):
            return parts[0]
        return tuple(parts)


def _rows(column: Any, picks: Any, first: int | None, floatx: Any) -> Any:
    """A batch of a column: the user's to keep and to change; floats in the default type."""
    rows = column[first : first + len(picks)] if first is not None else column.take(picks, axis=0)
    dtype = rows.dtype
    if dtype.kind == "f" and dtype is not floatx:
        return np.array(rows, floatx) if first is not None else rows.astype(floatx, copy=False)
    return np.array(rows) if first is not None else rows
