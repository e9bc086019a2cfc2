"""`Member`: one network of a sweep, from its point of the grid to its trained model."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, TypedDict

from densekit import losses
from densekit._core import tree
from densekit._core.engine import Index
from densekit._core.errors import describe, message
from densekit._core.seeds import set_random_seed
from densekit.callbacks import Callback, EarlyStopping, History
from densekit.callbacks._callback import wants_batches
from densekit.models import Model
from densekit.sweeps._grid import Point
from densekit.training._session import Session

if TYPE_CHECKING:
    from densekit._core.engine_kind import EngineKind
    from densekit.training._fit_loop import PendingRun, Runs


class FitArguments(TypedDict):
    """What all members are told: arguments of `Model.fit`."""

    x: object
    y: object
    batch_size: int | None
    epochs: int
    validation_split: float
    validation_data: object
    shuffle: object
    class_weight: dict[int, float] | str | None
    sample_weight: object
    steps_per_epoch: int | None
    validation_steps: int | None
    validation_batch_size: int | None
    validation_freq: object


def _keeps_nothing(part: object) -> bool:
    return part is None or isinstance(part, str | type | FunctionType | losses.Loss)


class Member:
    """A network that waits for its next run, or has ended.

    Args:
        index: number in the sweep.
        point: what `build` is called with.
        seed: what everything random in it follows from; None: what comes next.
    """

    def __init__(self, index: int, point: Point, seed: int | None) -> None:
        self.index, self.point, self.seed = index, point, seed
        self.rows: Index | None = None  # of the data, that it trains on; None: all
        self.validation_rows: Index | None = None
        self.model: Model | None = None
        self.history: History | None = None
        self.error: Exception | None = None
        self.alone: str | None = None  # why it is not trained side by side
        self.pending: PendingRun | None = None
        self._loop: Runs[History] | None = None
        self._callbacks: list[Callback] = []

    @property
    def kind(self) -> EngineKind:
        """What makes its engines."""
        assert self.model is not None
        return self.model._dk_runtime.kind

    def build(
        self, build: Callable[..., object], callbacks: Callable[[Point], list[Callback]]
    ) -> None:
        """Make the compiled model, and the callbacks of its training."""
        if self.seed is not None:
            set_random_seed(self.seed)
        try:
            model = build(**self.point)
            if not isinstance(model, Model) or not model.compiled:
                got = describe(model) if not isinstance(model, Model) else "one not compiled"
                action = "Call `compile` and return the model."
                raise ValueError(message("fit_many `build`", "a compiled model", got, action))
            self.model = model
            self._callbacks = callbacks(self.point)
        except Exception as error:
            self.error = error

    @property
    def parts(self) -> set[int]:
        """What it must not share with one that is trained at the same time."""
        model = self.model
        if model is None or self.error is not None:
            return set()
        compiled = model._dk_compiled.arguments
        told = [compiled[name] for name in ("optimizer", "loss", "metrics", "weighted_metrics")]
        kept = [*model._dk_flatten_layers(), *model.weights, *tree.flatten(told), *self._callbacks]
        # Names and functions keep nothing from one step to the next.
        return {id(model), *(id(part) for part in kept if not _keeps_nothing(part))}

    def start(self, arguments: FitArguments) -> None:
        """Begin to train, up to the first run; to the end if it cannot be one of many."""
        model = self.model
        if model is None or self.error is not None:
            return
        if type(model).fit is not Model.fit:
            self.alone = f"{type(model).__name__} has a `fit` of its own"
            self._attempt(lambda: self._fit_alone(arguments))
            return
        turns = model._dk_runtime.turns
        if not turns.claim():
            self.error = RuntimeError(f"{model.name!r} is trained by another thread.")
            return
        self._loop = model._dk_fitting.epochs(
            **arguments,
            verbose=0,
            callbacks=self._callbacks,
            initial_epoch=0,
            warns=False,
            rows=self.rows,
            validation_rows=self.validation_rows,
        )
        self.advance()
        if self.pending is None:
            return
        if any(wants_batches(callback, "train") for callback in self._callbacks):
            self.alone = "a callback looks at every batch"
        else:
            self.alone = self.why_alone()
        while self.alone is not None and self.pending is not None:
            self.run_alone()

    def _fit_alone(self, arguments: FitArguments) -> None:
        assert self.model is not None
        if self.rows is not None or self.validation_rows is not None:
            raise ValueError(
                message(
                    "fit_many `rows`",
                    "members with the `fit` of `Model`",
                    f"{type(self.model).__name__}, which has its own",
                    "Pass it the rows as `x` and `y`.",
                )
            )
        self.history = self.model.fit(**arguments, verbose=0, callbacks=self._callbacks)

    def why_alone(self) -> str | None:
        """Why the pending run cannot be one of many; None: it can."""
        assert self.pending is not None
        session = self.pending[0]
        if type(session) is not Session:
            assert self.model is not None
            return f"{type(self.model).__name__} has steps of its own, or mixes rows of a batch"
        return self.kind.why_alone(session.engine)

    def run_alone(self) -> None:
        """Run what is pending, and go on to the next run."""
        assert self.pending is not None
        session, chunk, training = self.pending
        self._attempt(lambda: session.run(chunk, training))
        self.advance()

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            self.fail(error)

    def advance(self) -> None:
        """Go on to the next run, unless it has failed."""
        if self._loop is None:
            return
        try:
            self.pending = next(self._loop)
        except StopIteration as end:
            self.history = end.value
            self.close()
        except Exception as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """End with an error."""
        self.error = error
        self.close()

    def close(self) -> None:
        """End; the engines go, which the model makes anew if it needs them."""
        loop, self._loop, self.pending = self._loop, None, None
        if loop is None or self.model is None:
            return
        try:
            loop.close()
        finally:
            runtime = self.model._dk_runtime
            runtime.forget_training()
            runtime.turns.release()
            runtime.guard_call()

    @property
    def logs(self) -> dict[str, float]:
        """The numbers of the epoch that the weights are those of."""
        history = self.history or getattr(self.model, "history", None)
        if history is None or not history.epoch:
            return {}
        at = len(history.epoch) - 1
        for callback in self._callbacks:
            if isinstance(callback, EarlyStopping) and callback.best_weights is not None:
                at = history.epoch.index(callback.best_epoch)
        return {name: values[at] for name, values in history.history.items() if at < len(values)}

    @property
    def epochs(self) -> int:
        """How many epochs it was trained."""
        history = self.history or getattr(self.model, "history", None)
        return 0 if history is None else len(history.epoch)

    @property
    def has_diverged(self) -> bool:
        """Whether its loss is no finite number at the end."""
        return self.error is None and not math.isfinite(self.logs.get("loss", 0.0))
